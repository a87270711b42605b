/**
 * A Gramian of the newest items of each history: after every fold, compaction and erasure of a random stream (with
 * removals, items that come again, equal times and events that come late) the stored one equals XᵀWX of rows that are cut
 * here, from the events themselves; the implicit one gives the same model, bit for bit.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createPipeline, foldStep, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { openSegment } from '#src/gramian/segment.js';
import { readColumns } from '#src/gramian/sum.js';
import { columnsOf, type TestEvent } from '../support/events.js';
import { seeded } from '../support/random.js';

const root = mkdtempSync(join(tmpdir(), 'max-history-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Interactions = 'binary' | 'last' | 'sum';
interface Placed extends TestEvent {
  readonly ts: number;
  readonly weight: number;
  readonly sequence: number;
}

/** X with the time of each pair, from all events: `user` → `item` → [value, time]. */
function matrixOf(events: readonly Placed[], interactions: Interactions) {
  const pairs = new Map<string, Map<string, Placed[]>>();
  for (const e of events) {
    const own = pairs.get(e.user) ?? new Map<string, Placed[]>();
    pairs.set(e.user, own.set(e.item, [...(own.get(e.item) ?? []), e]));
  }
  const matrix = new Map<string, Map<string, readonly [number, number]>>();
  for (const [user, items] of pairs) {
    const row = new Map<string, readonly [number, number]>();
    for (const [item, own] of items) {
      own.sort((a, b) => a.ts - b.ts || a.sequence - b.sequence);
      let [value, counted] = [0, [] as Placed[]];
      for (const e of own) {
        const given = interactions === 'binary' ? 1 : e.weight;
        if (interactions === 'sum' && e.op !== 'set') {
          value += e.op === 'remove' ? -given : given;
          counted.push(e);
        } else {
          value = e.op === 'remove' ? 0 : given;
          counted = [e];
        }
      }
      if (value > 0) row.set(item, [value, Math.max(...counted.map(e => e.ts))]);
    }
    if (row.size > 0) matrix.set(user, row);
  }
  return matrix;
}

/** XᵀWX of the newest `most` items of each user, by numbers of items. */
function gramianOf(
  matrix: ReturnType<typeof matrixOf>,
  keys: readonly string[],
  most: number,
  eta: number,
): Map<string, number> {
  const number = new Map(keys.map((key, i) => [key, i]));
  const entries = new Map<string, number>();
  for (const row of matrix.values()) {
    const own = [...row].map(([item, [value, ts]]) => ({ i: number.get(item)!, value, ts }));
    own.sort((a, b) => b.ts - a.ts || b.i - a.i).splice(most);
    const w = eta === 0 ? 1 : Math.max(1, Math.round(4096 * 2 ** (-eta * Math.floor(Math.log2(own.length)))));
    for (const a of own)
      for (const b of own) {
        const key = `${a.i} ${b.i}`;
        entries.set(key, (entries.get(key) ?? 0) + w * a.value * b.value);
      }
  }
  return entries;
}

/** The sum of the segments of a state, in the same form. */
async function storedEntries(p: Pipeline): Promise<Map<string, number>> {
  const entries = new Map<string, number>();
  for (const { file } of await p.parts.store.segments()) {
    const segment = openSegment(join(p.parts.directory, 'gramian', file));
    const { lengths, indices, values } = readColumns(segment, 0, segment.n);
    for (let j = 0, e = 0; j < segment.n; j++)
      for (const end = e + lengths[j]!; e < end; e++) {
        const key = `${indices[e]} ${j}`;
        entries.set(key, (entries.get(key) ?? 0) + values[e]!);
      }
    segment.close();
  }
  return new Map([...entries].filter(([, g]) => g !== 0));
}

const optionsOf = (
  mode: 'stored' | 'implicit',
  interactions: Interactions,
  eta: number,
  maxHistory: number | undefined,
): PipelineOptions => ({
  state: 'state',
  semantics: { interactions, weightScale: 1 },
  gramian: { mode, ...(maxHistory === undefined ? {} : { maxHistory }) },
  fit: { solver: 'fsai', neighbours: 4, userWeighting: eta },
  database: { threads: 1 },
});

async function using<T>(
  name: string,
  options: PipelineOptions,
  body: (p: Pipeline) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(root, name));
  const p = await createPipeline(options, { baseDirectory: directory });
  try {
    return await body(p);
  } finally {
    await p.close();
  }
}

/** Appends events and folds them. */
async function take(p: Pipeline, events: readonly Placed[]): Promise<void> {
  const first = events[0]!.sequence;
  const position = { partition: 'p/0', sequence: first + events.length - 1 };
  await p.parts.store.append('shop', [{ events: columnsOf(events, first), dead: [], position }]);
  await foldStep(p, { trigger: 'cli' });
}

it.each([
  ['binary', 0, 3],
  ['last', 0.5, 4],
  ['sum', 0, 1],
  ['sum', 1, 5],
] as const)('%s, η = %d, %d items', { timeout: 120_000 }, async (interactions, eta, most) => {
  const random = seeded(most + 10 * eta);
  const pick = (n: number) => Math.floor(random() * n);
  const matrices = (mode: 'stored' | 'implicit') => optionsOf(mode, interactions, eta, most);
  await using('implicit', matrices('implicit'), async implicit =>
    using('stored', matrices('stored'), async p => {
      let taken: Placed[] = [];
      const check = async () => {
        const keys = await p.parts.store.itemKeys();
        const expected = gramianOf(matrixOf(taken, interactions), keys, most, eta);
        expect(await storedEntries(p)).toEqual(expected);
        expect(await p.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });
      };
      for (let [round, sequence] = [0, 0]; round < 24; round++) {
        const events = Array.from({ length: 1 + pick(9) }, (_, k): Placed => {
          const op = (['add', 'add', 'add', 'remove', 'set'] as const)[pick(5)]!;
          const ts = Math.max(0, round - 3 + pick(6));
          return {
            user: `u${pick(4)}`,
            item: `i${pick(14)}`,
            op,
            ts,
            weight: 1 + pick(3),
            sequence: sequence + k,
          };
        });
        sequence += events.length;
        taken.push(...events);
        await take(p, events);
        await take(implicit, events);
        await check();
        if (round % 7 === 3) {
          await p.compact();
          await implicit.compact();
          await check();
        }
        if (round === 15) {
          await p.forget('u1');
          await implicit.forget('u1');
          taken = taken.filter(e => e.user !== 'u1');
          await check();
        }
      }
      const layers = async (of: Pipeline) => {
        const version = await refitStep(of, { trigger: 'cli' });
        const manifest = await of.manifestOf(version);
        expect(manifest).toMatchObject({ maxHistory: most, gramian: of.config.gramian.mode });
        return createHash('sha256')
          .update(readFileSync(of.weightsPath(version)))
          .digest('hex');
      };
      expect(await layers(p)).toBe(await layers(implicit));
    }),
  );
});

it('builds a stored Gramian anew when the setting changes, and scores whole histories', async () => {
  const events = Array.from(
    { length: 40 },
    (_, k): Placed => ({
      user: k < 20 ? 'long' : `u${k % 5}`,
      item: `i${k % 20}`,
      op: 'add',
      ts: k,
      weight: 1,
      sequence: k,
    }),
  );
  const directory = mkdtempSync(join(root, 'changes'));
  const open = async <T>(maxHistory: number | undefined, body: (p: Pipeline) => Promise<T>) => {
    const p = await createPipeline(optionsOf('stored', 'binary', 0, maxHistory), {
      baseDirectory: directory,
    });
    try {
      return await body(p);
    } finally {
      await p.close();
    }
  };
  const versions: string[] = [];
  for (const [k, maxHistory] of [undefined, 6, 3, undefined].entries()) {
    await open(maxHistory, async p => {
      if (k === 0) await take(p, events);
      versions.push(await refitStep(p, { trigger: `${k}` }));
      const keys = await p.parts.store.itemKeys();
      const matrix = matrixOf(events, 'binary');
      expect(await storedEntries(p)).toEqual(gramianOf(matrix, keys, maxHistory ?? 99, 0));
      expect(await p.verify()).toMatchObject({ differing: 0, mode: 'stored' });
      expect((await p.parts.store.counts(maxHistory)).pairs).toBe(
        [...matrix.values()].reduce((sum, row) => sum + Math.min(row.size, maxHistory ?? 99) ** 2, 0),
      );
      expect((await p.parts.store.history('long'))!.indices).toHaveLength(20);
      // All items but those of the whole history can be recommended.
      expect((await p.recommend('long', 20)).items).toEqual([]);
    });
  }
  expect(new Set(versions).size).toBe(4);
});
