import type { Receipt } from '../../src/contracts/index.js';
import { type Command, count } from '../command.js';
import { contextOf, runChain, runJob } from '../job.js';
import { fold as foldJob } from '../kinds/fold.js';
import { forget as forgetJob } from '../kinds/forget.js';
import { resultOf } from '../outcome.js';
import { cli } from '../trigger.js';

export const ingest: Command = {
  summary: 'take in everything the sources have now',
  usage: '-c pipeline.yaml',
  async run({ pipeline, progress, signal }) {
    const p = await pipeline();
    const summary = await p.ingest(signal, total => progress(`ingest: ${count(total)} records`));
    const pending = await p.parts.store.pending();
    const text = `${count(summary.events)} events taken in, ${count(summary.deadLetters)} dead letters; ${count(pending)} wait for a fold`;
    return { json: { ...summary, pending }, text };
  },
};

export const fold: Command = {
  summary: 'fold the inbox into the interactions and the Gramian',
  usage: '-c pipeline.yaml',
  async run({ pipeline, signal }) {
    const p = await pipeline();
    const { events } = resultOf(await runJob(contextOf(p, { signal }), foldJob, cli, {}))!;
    const counts = await p.parts.store.counts();
    const text = `${count(events)} events folded; ${count(counts.users)} users, ${count(counts.items)} items, ${count(counts.interactions)} interactions`;
    return { json: { events, ...counts }, text };
  },
};

export const compact: Command = {
  summary: 'let items leave that nobody has any more, and merge the segments of the Gramian into one',
  usage: '-c pipeline.yaml',
  async run({ pipeline, signal }) {
    const p = await pipeline();
    const { items, merged } = await p.compact(signal);
    const left = items > 0 ? `${count(items)} items that nobody has any more are gone\n` : '';
    const text = merged > 0 ? `${merged} segments merged into one` : 'nothing to merge';
    return { json: { items, merged }, text: left + text };
  },
};

export const forget: Command = {
  summary: 'erase a user from the state and the sinks, and print the receipt',
  arguments: ['USER'],
  usage: 'USER -c pipeline.yaml [--receipts]',
  options: { receipts: { type: 'boolean' } },
  help: { receipts: 'only print the receipts of earlier erasures of this user' },
  async run({ pipeline, reader, values, positionals, signal }) {
    const user = positionals[0]!;
    if (values.receipts) {
      const receipts = await (await reader()).receipts(user);
      return { json: { receipts }, text: receipts.map(receiptText).join('\n') || 'no receipt of this user' };
    }
    const p = await pipeline();
    const { outcome } = await runChain(contextOf(p, { signal }), forgetJob, cli, { user });
    const receipt = resultOf(outcome)!;
    const text =
      receipt.users + receipt.events > 0
        ? `user ${user} erased; the next fit no longer knows them`
        : `user ${user} is not in the state`;
    return { json: { ...receipt, erased: receipt.users > 0 }, text: `${text}\n${receiptText(receipt)}` };
  },
};

function receiptText(r: Receipt): string {
  const lists = r.sinks.map(s => `${s.name} ${count(s.deleted)} deleted, ${count(s.rewritten)} rewritten`);
  return [
    `receipt   ${r.hash.slice(0, 16)}, ${r.finishedAt}`,
    `state     ${count(r.interactions)} interactions, ${count(r.events)} waiting events, ${count(r.deadLetters)} dead letters, ${count(r.eventIds)} event ids, ${count(r.items)} items`,
    `lists     ${lists.join('; ') || 'no sinks'}`,
    `models    ${r.influenced.length} fitted with them, ${r.modelsRewritten.length} rewritten`,
    ...r.remains.map(text => `remains   ${text}`),
  ].join('\n');
}

export const verify: Command = {
  summary: 'compare the stored Gramian with the histories; prints the number of differing entries',
  usage: '-c pipeline.yaml',
  async run({ reader, signal }) {
    const p = await reader();
    const found = await p.verify(signal);
    const ok = found.differing === 0 && found.broken.length === 0;
    const text =
      found.mode === 'stored'
        ? `${found.differing} of ${count(found.entries)} entries differ${found.broken.map(f => `\nchecksum does not match: ${f}`).join('')}`
        : `0 entries differ: the Gramian is ${found.mode === 'none' ? 'empty' : 'computed from the histories'}`;
    return { json: { ...found, ok }, text, exitCode: ok ? 0 : 1 };
  },
};
