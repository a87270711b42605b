import { StageError } from '../../src/errors.js';
import { type Command, type CommandContext, type CommandResult, count } from '../command.js';

type Ask = Pick<CommandContext, 'ask'>;

const actions = ['list', 'show', 'diff', 'prune'] as const;

export const models: Command = {
  summary:
    'list models and published versions, show one, compare two, or delete what retention does not keep',
  arguments: ['ACTION', '[A]', '[B]'],
  usage: 'list | show V | diff A B | prune -c pipeline.yaml',
  async run(context) {
    const [action = '', a, b] = context.positionals;
    switch (action) {
      case 'list':
        return list(context);
      case 'show':
        return show(context, wanted(a, 'show V'));
      case 'diff':
        return diff(context, wanted(a, 'diff A B'), wanted(b, 'diff A B'));
      case 'prune':
        return prune(context);
      default:
        throw new StageError(
          'USAGE',
          `models: expected ${actions.join(', ')}, found ${JSON.stringify(action)}`,
        );
    }
  },
};

function wanted(version: string | undefined, usage: string): string {
  if (version !== undefined) return version;
  throw new StageError('USAGE', `models: expected a version, found nothing; usage: models ${usage}`);
}

async function list({ ask }: Ask): Promise<CommandResult> {
  const records = await ask('models', {});
  const sinks = await ask('published', {});
  const lines = records.map(({ version, published, solver, parameters, events }) => {
    const mark = published ? ' *' : '  ';
    return `model ${version}${mark} ${solver}, ${count(parameters)} parameters, ${count(events)} events`;
  });
  for (const { sink, aliases, versions } of sinks)
    for (const v of versions) {
      const names = Object.keys(aliases).filter(alias => aliases[alias] === v.version);
      const state = v.complete ? `${count(v.lists.users)} + ${count(v.lists.items)} lists` : 'incomplete';
      lines.push(`${sink}  ${v.version}  ${state}${names.length > 0 ? `  ← ${names.join(', ')}` : ''}`);
    }
  const json = {
    models: records.map(({ version, createdAt, published }) => ({ version, createdAt, published })),
    sinks,
  };
  return { json, text: lines.join('\n') || 'no models yet' };
}

async function show({ ask }: Ask, version: string): Promise<CommandResult> {
  const manifest = await ask('model', { version });
  return { json: manifest, text: JSON.stringify(manifest, null, 2) };
}

async function diff({ ask }: Ask, a: string, b: string): Promise<CommandResult> {
  const found = await ask('compareModels', { a, b });
  if (!found) return { json: {}, text: 'the same' };
  const { values, lists } = found;
  const share = (x: number): string => `${(100 * x).toFixed(1)}%`;
  const [before, after] = lists.coverage;
  const isQuality = (key: string): number => Number(key.startsWith('metrics.'));
  const changes = Object.entries(values).sort(([x], [y]) => isQuality(y) - isQuality(x));
  const text = [
    `lists of ${lists.k} of ${count(lists.users)} users: ${share(lists.changed)} changed, ${share(lists.overlap)} of their items stay, rank correlation ${lists.rankCorrelation.toFixed(3)}, coverage ${share(before)} → ${share(after)}`,
    ...changes.map(([key, [left, right]]) => `${key}: ${left ?? '–'} → ${right ?? '–'}`),
  ].join('\n');
  return { json: { ...values, lists }, text };
}

async function prune({ ask }: Ask): Promise<CommandResult> {
  const found = await ask('prune', {});
  const gone = found.versions.map(g => `${g.sink} ${g.version}`);
  const text = [...found.models.map(v => `model ${v}`), ...gone].join('\n');
  return { json: found, text: text || 'nothing to delete' };
}
