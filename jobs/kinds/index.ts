/** Every kind of job, by its name. Jobs that are due at the same time run in this order. */
import { fold } from './fold.js';
import { forget } from './forget.js';
import { fresh } from './fresh.js';
import { publish } from './publish.js';
import { refit } from './refit.js';
import { rollback } from './rollback.js';
import { tune } from './tune.js';

export const jobs = { fold, refit, tune, publish, fresh, rollback, forget } as const;
