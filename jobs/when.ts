import { z } from 'zod';
import { conditionOptions } from '../connectors/duckdb/condition-options.js';
import type { Manifest } from '../src/contracts/manifest.js';
import type { Drift } from '../src/stages/drift.js';
import { milliseconds } from '../src/stages/duration.js';
import { duration } from '../src/stages/options.js';

const share = z.number().gt(0).optional();

/** Limits of the drift since the newest model. A job is due when one of them is passed. */
export const whenOptions = z
  .strictObject({
    volume: share.describe('events folded since, as a share of those before'),
    newUsers: share.describe('share of the users who came since'),
    newItems: share.describe('share of the items that came since'),
    popularity: share.describe('population stability index of the interactions added since'),
    age: duration.optional().describe('time since the model was made, if events came meanwhile'),
    query: conditionOptions
      .optional()
      .describe('a question to a warehouse; due once each time it turns true'),
  })
  .optional()
  .describe('limits of the drift since the newest model');
export type When = NonNullable<z.output<typeof whenOptions>>;

/** The first limit that is passed, if any; none while nothing was folded since. */
export function passedLimit(
  { age, query: _, ...limits }: When,
  drift: Drift,
  model: Manifest,
): keyof When | undefined {
  if (drift.volume <= 0) return undefined;
  for (const [of, limit] of Object.entries(limits) as [keyof Drift, number | undefined][])
    if (limit !== undefined && (drift[of] ?? 0) > limit) return of;
  return isOld(age, model) ? 'age' : undefined;
}

/** Whether a model is older than a limit, if there is one. */
export const isOld = (age: When['age'], { createdAt }: Manifest): boolean =>
  age !== undefined && Date.now() - Date.parse(createdAt) > milliseconds(age);
