import { mebibytes } from '../../src/size.js';
import { type Command, count } from '../command.js';
import { contextOf, runJob } from '../job.js';
import { fresh as freshJob } from '../kinds/fresh.js';
import { publish as publishJob } from '../kinds/publish.js';
import { rollback as rollbackJob } from '../kinds/rollback.js';
import { resultOf } from '../outcome.js';
import { cli } from '../trigger.js';

export const publish: Command = {
  summary: 'push the lists of a model (the newest without --version) to the sinks',
  usage: '-c pipeline.yaml [--version V] [--alias A | --fresh]',
  options: { version: { type: 'string' }, alias: { type: 'string' }, fresh: { type: 'boolean' } },
  help: {
    version: 'model version',
    alias: 'pointer to switch; default champion, which readers follow unless told otherwise',
    fresh: 'only rewrite the lists of users whose histories changed',
  },
  async run({ pipeline, values, progress, signal }) {
    const p = await pipeline();
    if (values.fresh) {
      const fresh = resultOf(await runJob(contextOf(p, { signal }), freshJob, cli, {}))!;
      const { rewritten, deleted, seconds } = fresh;
      const text = `${count(rewritten)} lists rewritten, ${count(deleted)} deleted in ${seconds.toFixed(1)} s`;
      return { json: fresh, text };
    }
    const settings = {
      signal,
      progress: (_: string, part: number) => progress(`publish: ${Math.floor(part * 100)}%`),
    };
    const { version, alias } = values as { version?: string; alias?: string };
    const summary = resultOf(await runJob(contextOf(p, settings), publishJob, cli, { version, alias }))!;
    const { users, items, listsPerSecond } = summary;
    const lines = summary.sinks.map(s => {
      const share = s.written + s.kept > 0 ? s.kept / (s.written + s.kept) : 0;
      const kept = s.kept > 0 ? `, ${(share * 100).toFixed(1)}% were there` : '';
      return `${s.name}: ${count(s.written)} lists written${kept}; about ${mebibytes(s.estimatedBytes)} in all`;
    });
    const text = `version ${summary.version} is ${summary.alias}: ${count(users)} user lists and ${count(items)} item lists, ${count(Math.round(listsPerSecond))} lists/s`;
    const json = { ...summary, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
    return { json, text: [text, ...lines].join('\n') };
  },
};

export const rollback: Command = {
  summary: 'switch the feed back to the version before, or to --to, without writing a list',
  usage: '-c pipeline.yaml [--alias A] [--to V]',
  options: { alias: { type: 'string' }, to: { type: 'string' } },
  help: { alias: 'pointer to switch; default champion', to: 'a version in the sinks' },
  async run({ pipeline, values, signal }) {
    const { alias, to } = values as { alias?: string; to?: string };
    const context = contextOf(await pipeline(), { signal });
    const summary = resultOf(await runJob(context, rollbackJob, cli, { alias, to }))!;
    return { json: summary, text: `${summary.alias}: ${summary.from} → ${summary.version}` };
  },
};
