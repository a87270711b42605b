import { type Command, count, wholeNumber } from '../command.js';

export const segments: Command = {
  summary: 'the items of each dimension of a compressed-elsa model, which are items themselves',
  usage: '-c pipeline.yaml [--k 10] [--version V]',
  options: { k: { type: 'string' }, version: { type: 'string' } },
  help: { k: 'items of a dimension; default 10', version: 'model version; default the newest' },
  async run({ reader, values }) {
    const k = wholeNumber('k', values.k ?? '10');
    const found = await (await reader()).segments(k, values.version as string | undefined);
    const lines = found.map(({ dimension, size, items }) => {
      const names = items.map(({ item, score }) => `${item} ${score.toFixed(3)}`).join(', ');
      return `${dimension ?? '(gone)'}  ${count(size)} items: ${names}`;
    });
    return { json: { segments: found }, text: lines.join('\n') };
  },
};
