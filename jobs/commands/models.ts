import type { Manifest } from '../../src/contracts/manifest.js';
import { StageError } from '../../src/errors.js';
import { type Command, type CommandContext, type CommandResult, count } from '../command.js';
import { pruneModels, sinkContents } from '../kept-models.js';
import type { Pipeline } from '../open.js';

/** Lists that `diff` compares: their length, and how many users are asked. */
const listLength = 20;
const sampledUsers = 2000;

const actions = ['list', 'show', 'diff', 'prune'] as const;

export const models: Command = {
  summary:
    'list models and published versions, show one, compare two, or delete what retention does not keep',
  arguments: ['ACTION', '[A]', '[B]'],
  usage: 'list | show V | diff A B | prune -c pipeline.yaml',
  async run(context) {
    const [action = '', a, b] = context.positionals;
    const pipeline = await (action === 'prune' ? context.pipeline() : context.reader());
    switch (action) {
      case 'list':
        return list(pipeline);
      case 'show':
        return show(pipeline, wanted(a, 'show V'));
      case 'diff':
        return diff(pipeline, wanted(a, 'diff A B'), wanted(b, 'diff A B'));
      case 'prune':
        return prune(pipeline, context);
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

async function list(pipeline: Pipeline): Promise<CommandResult> {
  const records = await pipeline.parts.store.models();
  const sinks = await sinkContents(pipeline);
  const lines = records.map(m => {
    const { parameters, events, solver } = m.manifest;
    return `model ${m.version}${m.published ? ' *' : '  '} ${solver}, ${count(parameters)} parameters, ${count(events)} events`;
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

async function show(pipeline: Pipeline, version: string): Promise<CommandResult> {
  const manifest = await pipeline.manifestOf(version);
  return { json: manifest, text: JSON.stringify(manifest, null, 2) };
}

async function diff(pipeline: Pipeline, a: string, b: string): Promise<CommandResult> {
  const [left, right] = [leaves(await pipeline.manifestOf(a)), leaves(await pipeline.manifestOf(b))];
  const keys = [...new Set([...left.keys(), ...right.keys()])].filter(k => left.get(k) !== right.get(k));
  if (keys.length === 0) return { json: {}, text: 'the same' };
  const lists = await pipeline.compare(a, b, listLength, sampledUsers);
  const json = {
    ...Object.fromEntries(keys.map(k => [k, [left.get(k) ?? null, right.get(k) ?? null]])),
    lists,
  };
  const share = (x: number): string => `${(100 * x).toFixed(1)}%`;
  const [before, after] = lists.coverage;
  const text = [
    ...keys.map(k => `${k}: ${left.get(k) ?? '–'} → ${right.get(k) ?? '–'}`),
    `lists of ${lists.k} of ${count(lists.users)} users: ${share(lists.changed)} changed, ${share(lists.overlap)} of their items stay, rank correlation ${lists.rankCorrelation.toFixed(3)}, coverage ${share(before)} → ${share(after)}`,
  ].join('\n');
  return { json, text };
}

/** The values of a manifest by their paths. */
function leaves(manifest: Manifest): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) found.set(path, value);
    else for (const [key, inner] of Object.entries(value)) visit(inner, path ? `${path}.${key}` : key);
  };
  visit(manifest, '');
  return found;
}

async function prune(pipeline: Pipeline, { log }: CommandContext): Promise<CommandResult> {
  const before = await sinkContents(pipeline);
  if (pipeline.parts.sinks.length > 0)
    await pipeline.withSinks(sinks =>
      Promise.all(sinks.map(async sink => sink.keep !== undefined && sink.prune?.(sink.keep))),
    );
  const after = await sinkContents(pipeline);
  const gone = before.flatMap(({ sink, versions }, k) =>
    versions
      .filter(v => v.complete && !after[k]?.versions.some(o => o.version === v.version))
      .map(v => ({ sink, version: v.version })),
  );
  const models = await pruneModels(pipeline);
  log.info({ models, versions: gone }, 'pruned');
  const text = [...models.map(v => `model ${v}`), ...gone.map(g => `${g.sink} ${g.version}`)].join('\n');
  return { json: { models, versions: gone }, text: text || 'nothing to delete' };
}
