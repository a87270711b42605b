import type { Receipt } from '../../src/contracts/erasure.js';
import { type Command, count } from '../command.js';

export const forget: Command = {
  summary: 'erase a user from the state and the sinks, and print the receipt',
  arguments: ['USER'],
  usage: 'USER -c pipeline.yaml [--receipts]',
  options: { receipts: { type: 'boolean' } },
  help: { receipts: 'only print the receipts of earlier erasures of this user' },
  async run({ ask, values, positionals }) {
    const user = positionals[0]!;
    if (values.receipts) {
      const found = await ask('receipts', { user });
      return { json: found, text: found.receipts.map(receiptText).join('\n') || 'no receipt of this user' };
    }
    const receipt = await ask('forget', { user });
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
