import { totalOf } from '../../src/stages/events.js';
import { type Command, count } from '../command.js';

export const ingest: Command = {
  summary: 'take in everything the sources have now',
  usage: '-c pipeline.yaml',
  async run({ pipeline, progress, signal }) {
    const p = await pipeline();
    const summary = await p.ingest(signal, total => progress(`ingest: ${count(total)} records`));
    const pending = await p.parts.store.pending();
    const skipped = totalOf(summary.skipped);
    const text = `${count(summary.events)} events taken in, ${count(summary.deadLetters)} dead letters${skipped > 0 ? `, ${count(skipped)} skipped` : ''}; ${count(pending)} wait for a fold`;
    return { json: { ...summary, pending }, text };
  },
};
