import { type Command, type CommandContext, count, wholeNumber } from '../command.js';
import { inLine } from '../printable.js';

const options = { k: { type: 'string' }, version: { type: 'string' } } as const;
const help = { k: 'length of the list; default 20', version: 'model version; default the newest' };

interface List {
  readonly items: readonly { readonly item: string; readonly score: number }[];
}

interface ListOptions {
  readonly k: number;
  readonly version: string | undefined;
}

function outcome(list: List) {
  const lines = list.items.map(
    ({ item, score }, r) => `${String(r + 1).padStart(3)}  ${score.toFixed(4)}  ${inLine(item)}`,
  );
  return { json: list, text: lines.join('\n') || 'nothing can be recommended' };
}

/** A command whose answer is a list for one id. */
const listCommand = (
  id: string,
  summary: string,
  listOf: (ask: CommandContext['ask'], id: string, of: ListOptions) => Promise<List>,
): Command => ({
  summary,
  arguments: [id],
  usage: `${id} -c pipeline.yaml [--k 20] [--version V]`,
  options,
  help,
  async run({ ask, positionals, values }) {
    const k = wholeNumber('k', values.k ?? '20');
    return outcome(await listOf(ask, positionals[0]!, { k, version: values.version as string }));
  },
});

export const recommend = listCommand('USER', 'items for a user, best first', (ask, user, of) =>
  ask('recommend', { user, ...of }),
);

export const similar = listCommand('ITEM', 'items that go with an item, best first', (ask, item, of) =>
  ask('similar', { item, ...of }),
);

export const explain: Command = {
  summary: "why an item has its score for a user: what each of the user's own items adds to it",
  arguments: ['USER', 'ITEM'],
  usage: 'USER ITEM -c pipeline.yaml [--version V]',
  options: { version: options.version },
  help: { version: help.version },
  async run({ ask, positionals, values }) {
    const [user, item] = positionals as [string, string];
    const found = await ask('explain', { user, item, version: values.version as string });
    const { score, owned, version, contributions } = found;
    const lines = [
      `${score.toFixed(6)}  ${inLine(item)} for ${inLine(user)}, model ${version}${owned ? '; the user has it already' : ''}`,
      ...contributions.map(c => `${c.amount.toFixed(6).padStart(10)}  ${inLine(c.item)}`),
    ];
    return { json: found, text: lines.join('\n') };
  },
};

export const segments: Command = {
  summary: 'the items of each dimension of a compressed-elsa model, which are items themselves',
  usage: '-c pipeline.yaml [--k 10] [--version V]',
  options,
  help: { ...help, k: 'items of a dimension; default 10' },
  async run({ ask, values }) {
    const k = wholeNumber('k', values.k ?? '10');
    const found = await ask('segments', { k, version: values.version as string });
    const lines = found.segments.map(({ dimension, size, items }) => {
      const names = items.map(({ item, score }) => `${inLine(item)} ${score.toFixed(3)}`).join(', ');
      return `${inLine(dimension ?? '(gone)')}  ${count(size)} items: ${names}`;
    });
    return { json: found, text: lines.join('\n') };
  },
};
