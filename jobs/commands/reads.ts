import type { RankedList } from '../../src/contracts/index.js';
import { optionOf, searched } from '../../src/tune/space.js';
import { type Command, count, wholeNumber } from '../command.js';
import { verdictOf } from '../gate.js';
import { type TunedState, tunedOf } from '../tuned.js';

function outcome({ id, items, scores }: RankedList) {
  const ranked = items.map((item, r) => ({ item, score: scores[r]! }));
  const text = ranked
    .map(({ item, score }, r) => `${String(r + 1).padStart(3)}  ${score.toFixed(4)}  ${item}`)
    .join('\n');
  return { json: { id, items: ranked }, text: text || 'nothing can be recommended' };
}

const options = { k: { type: 'string' }, version: { type: 'string' } } as const;
const help = { k: 'length of the list; default 20', version: 'model version; default the newest' };

const listCommand = (of: 'recommend' | 'similar', argument: string, summary: string): Command => ({
  summary,
  arguments: [argument],
  usage: `${argument} -c pipeline.yaml [--k 20] [--version V]`,
  options,
  help,
  async run({ reader, positionals, values }) {
    const k = wholeNumber('k', values.k ?? '20');
    const version = values.version as string | undefined;
    return outcome(await (await reader())[of](positionals[0]!, k, version));
  },
});

export const recommend = listCommand('recommend', 'USER', 'items for a user, best first');
export const similar = listCommand('similar', 'ITEM', 'items that go with an item, best first');

function tunedText({ fit, base, measured, found, before, at, inUse }: TunedState): string {
  const names = ['solver', ...searched(fit.solver)];
  const changed = names.filter(name => optionOf(fit, name) !== optionOf(base, name));
  const date = new Date(at).toISOString().slice(0, 10);
  const values = changed.map(name => `${name} ${optionOf(fit, name)}`).join(', ');
  const figures = `${measured.metric}@${measured.k} ${found.toFixed(4)} against ${before.toFixed(4)} on ${date}`;
  return `${values} (${figures})${inUse ? '' : ': not in use, `fit` was changed since'}`;
}

export const status: Command = {
  summary: 'sizes, positions, the newest model and the last runs',
  usage: '-c pipeline.yaml',
  async run({ reader }) {
    const p = await reader();
    const { parts, manifestOf } = p;
    const { store } = parts;
    const [counts, folded, mode, segments, models, runs, dead] = [
      await store.counts(),
      await store.folded(),
      (await store.gramian())?.mode ?? 'none',
      await store.segments(),
      await store.models(),
      await store.runs(10),
      await store.deadLetters(3),
    ];
    const positions: Record<string, readonly object[]> = {};
    for (const { name } of parts.sources)
      positions[name] = (await store.positions(name)).map(({ taken: _, ...position }) => position);
    const newest = models.length > 0 ? await manifestOf() : undefined;
    const published = models.find(m => m.published)?.version;
    const gate = await verdictOf(p);
    const tuned = await tunedOf(p);
    const gramian = {
      mode,
      segments: segments.length,
      entries: segments.reduce((s, x) => s + x.nnz, 0),
      bytes: segments.reduce((s, x) => s + x.bytes, 0),
    };
    const lines = [
      `state     ${parts.directory}`,
      `inbox     ${count(counts.inbox)} events wait; ${count(folded)} folded, ${count(counts.repeated)} of them repeated; ${count(counts.deadLetters)} dead letters`,
      ...dead.map(d => `          ${d.source}/${d.partition}@${d.sequence}: ${d.reason}`),
      `matrix    ${count(counts.users)} users × ${count(counts.items)} items, ${count(counts.interactions)} interactions`,
      `gramian   ${mode}${mode === 'stored' ? `, ${segments.length} segments, ${count(gramian.entries)} entries` : ''}`,
      `models    ${models.length}${newest ? `; newest ${newest.version}` : ''}; published ${published ?? 'none'}`,
      ...(gate
        ? [`gate      model ${gate.version} ${gate.passed ? 'passes' : 'is held back'}: ${gate.reason}`]
        : []),
      ...(tuned ? [`tuned     ${tunedText(tuned)}`] : []),
      ...runs.map(r => {
        const seconds =
          r.finishedAt === undefined ? '' : ` ${((r.finishedAt - r.startedAt) / 1000).toFixed(1)} s`;
        return `run       ${new Date(r.startedAt).toISOString()} ${r.job} ${r.status}${seconds}: ${r.detail} (${r.trigger})`;
      }),
    ];
    const json = {
      state: parts.directory,
      ...counts,
      folded,
      gramian,
      models: models.map(m => m.version),
      published,
      gate,
      tuned,
      positions,
      runs,
      deadLetterSamples: dead,
    };
    return { json, text: lines.join('\n') };
  },
};
