import { type Command, count } from '../command.js';

export const ingest: Command = {
  summary: 'take in everything the sources have now',
  usage: '-c pipeline.yaml',
  async run({ pipeline, progress, signal }) {
    const p = await pipeline();
    const summary = await p.ingest(signal, total => progress(`ingest: ${count(total)} records`));
    const pending = await p.parts.store.pending();
    const skipped = Object.values(summary.skipped ?? {}).reduce((sum, n) => sum + n, 0);
    const text = `${count(summary.events)} events taken in, ${count(summary.deadLetters)} dead letters${skipped > 0 ? `, ${count(skipped)} skipped` : ''}; ${count(pending)} wait for a fold`;
    return { json: { ...summary, pending }, text };
  },
};
