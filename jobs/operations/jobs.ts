/** Jobs that a person asks for, and checks that need the state for themselves. */
import { z } from 'zod';
import { checkAlias } from '../../src/publish/layout.js';
import { runChain, runJob } from '../job.js';
import { fold as foldJob } from '../kinds/fold.js';
import { forget as forgetJob } from '../kinds/forget.js';
import { fresh as freshJob } from '../kinds/fresh.js';
import { publish as publishJob } from '../kinds/publish.js';
import { fitOf, refit as refitJob } from '../kinds/refit.js';
import { rollback as rollbackJob } from '../kinds/rollback.js';
import { resultOf } from '../outcome.js';
import { cli } from '../trigger.js';
import { operation, shownAs } from './operation.js';

const name = z.string().min(1).optional();

export const fold = operation({
  parameters: z.strictObject({}),
  changes: true,
  async run({ pipeline, jobs }) {
    const { events } = resultOf(await runJob(jobs, foldJob, cli, {}))!;
    return { events, ...(await pipeline.parts.store.counts()) };
  },
});

export const compact = operation({
  parameters: z.strictObject({}),
  changes: true,
  run: ({ pipeline, jobs }) => pipeline.compact(jobs.settings.signal),
});

/** Fits with the options given in place of the present ones; publishes nothing. */
export const fit = operation({
  parameters: z.record(z.string(), z.unknown()),
  changes: true,
  check: fitOf,
  async run(context, options) {
    const shown = shownAs(context, (stage, part) => `fit: ${stage} ${part}`);
    const ended = await runJob(shown, refitJob, cli, options);
    const manifest = resultOf(ended)!;
    const idle = ended.kind === 'idle' ? ended.detail : undefined;
    return { manifest, path: context.pipeline.weightsPath(manifest.version), idle };
  },
});

/** Folds, fits and publishes as a scheduled refit does: the gate may hold the model back. */
export const refit = operation({
  parameters: z.looseObject({ publish: z.boolean().optional() }),
  changes: true,
  check: fitOf,
  async run(context, options) {
    const chain = await runChain(
      shownAs(context, (stage, part) => `refit: ${stage} ${part}`),
      refitJob,
      cli,
      options,
    );
    const { outcome, followed } = chain;
    const version = outcome.kind === 'held' ? undefined : outcome.version;
    const published = followed[0]?.outcome.kind === 'done';
    return { version, unchanged: outcome.kind === 'idle', published, message: refitJob.answer!(chain) };
  },
});

export const publish = operation({
  parameters: z.strictObject({ version: name, alias: name }),
  changes: true,
  async check(pipeline, { version, alias }) {
    if (alias !== undefined) checkAlias(alias);
    if (version !== undefined) await pipeline.manifestOf(version);
  },
  async run(context, options) {
    const shown = shownAs(context, (_, part) => `publish: ${part}`);
    const summary = resultOf(await runJob(shown, publishJob, cli, options))!;
    return { ...summary, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
  },
});

/** Rewrites the lists of users whose histories changed. */
export const fresh = operation({
  parameters: z.strictObject({}),
  changes: true,
  run: async ({ jobs }) => resultOf(await runJob(jobs, freshJob, cli, {}))!,
});

export const rollback = operation({
  parameters: z.strictObject({ alias: name, to: name }),
  changes: true,
  check: (_, { alias }) => alias !== undefined && checkAlias(alias),
  run: async ({ jobs }, options) => resultOf(await runJob(jobs, rollbackJob, cli, options))!,
});

export const forget = operation({
  parameters: z.strictObject({ user: z.string().min(1) }),
  changes: true,
  run: async ({ jobs }, options) => resultOf((await runChain(jobs, forgetJob, cli, options)).outcome)!,
});

/** Receipts of earlier erasures of a user. */
export const receipts = operation({
  parameters: z.strictObject({ user: z.string().min(1) }),
  run: async ({ pipeline }, { user }) => ({ receipts: await pipeline.receipts(user) }),
});

/** Compares the stored Gramian with the histories. */
export const verify = operation({
  parameters: z.strictObject({}),
  waits: true,
  async run({ pipeline, jobs }) {
    const found = await pipeline.verify(jobs.settings.signal);
    return { ...found, ok: found.differing === 0 && found.broken.length === 0 };
  },
});
