import { z } from 'zod';
import { type TuneOptions, tuneOptions } from '../../src/tune/tune.js';
import { checked } from '../checked.js';
import { runJob } from '../job.js';
import { searchOf, tune as tuneJob } from '../kinds/tune.js';
import type { Pipeline } from '../open.js';
import { resultOf } from '../outcome.js';
import { cli } from '../trigger.js';
import { aroundPresent } from '../tuned.js';
import { operation, shownAs } from './operation.js';

/** How to search: the settings of the scheduled search with `given` in their places. */
const searchWith = ({ config }: Pipeline, given: Readonly<Record<string, unknown>>): TuneOptions =>
  checked(tuneOptions, { ...searchOf(config.schedule.tune), ...given }, 'options');

/**
 * Searches for better fit options on a part held out of the state, starting from the settings of the scheduled search.
 * With `apply`, refits use the winner if it is better.
 */
export const tune = operation({
  parameters: z.strictObject({
    options: z.record(z.string(), z.unknown()).default({}),
    fixed: z.record(z.string(), z.unknown()).default({}),
    apply: z.boolean().default(false),
  }),
  changes: true,
  check: (pipeline, { options, fixed }) => aroundPresent(pipeline, searchWith(pipeline, options), fixed),
  async run(context, { options: given, fixed, apply }) {
    const { pipeline } = context;
    const options = searchWith(pipeline, given);
    const shown = shownAs(context, (stage, part) => `${part}: ${stage}`);
    const found = apply
      ? resultOf(await runJob(shown, tuneJob, cli, { ...options, fixed }))!
      : await pipeline.tune(await aroundPresent(pipeline, options, fixed), options, shown.settings);
    const peakRssBytes = process.resourceUsage().maxRSS * 1024;
    return { found: found as typeof found & { readonly adopted?: boolean }, options, peakRssBytes };
  },
});

/** Lets refits use the configured options again. */
export const resetTuned = operation({
  parameters: z.strictObject({}),
  changes: true,
  async run({ pipeline }) {
    const { store } = pipeline.parts;
    const reset = (await store.tuned()) !== undefined;
    await store.setTuned(undefined);
    return { reset };
  },
});
