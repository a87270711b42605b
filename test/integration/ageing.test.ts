/**
 * Events that grow old, and users known by several ids. Random streams of adds, removes, sets, duplicates, replays, late events and erasures, and random
 * moves of the clock: after every fold the segments sum to XᵀWX recomputed from the histories in the present frame, and to
 * what SQL makes of the events themselves, which shares no code with either. It takes the place of the landmark from the
 * state, and nothing else. The ids of users are replaced in the events before SQL sees them, whatever the order was in which
 * events and aliases came.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createPipeline, type Pipeline, type PipelineOptions } from '#jobs/index.js';
import { type Frame, halfLivesOf } from '#src/gramian/frame.js';
import { openSegment } from '#src/gramian/segment.js';
import { readColumns } from '#src/gramian/sum.js';
import { largestEnergy } from '#src/gramian/weights.js';
import { columnsOf, type TestEvent } from '../support/events.js';

const root = mkdtempSync(join(tmpdir(), 'ageing-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const minute = 60_000;
/** Events lie on a grid of times that is none of half-lives and windows. */
const tick = 7_000;

interface Semantics {
  /** Whether some events are aliases. */
  readonly aliases?: boolean;
  readonly interactions: 'binary' | 'last' | 'sum';
  readonly maxWeight?: number;
  readonly window?: string;
  readonly halfLife?: string;
}

type Step =
  | { readonly kind: 'append'; readonly events: readonly TestEvent[]; readonly replay: number }
  | { readonly kind: 'pass'; readonly ticks: number }
  | { readonly kind: 'fold'; readonly limit: number }
  | { readonly kind: 'compact' }
  | { readonly kind: 'forget'; readonly user: string };

const user = fc.integer({ min: 0, max: 4 }).map(u => `u${u}`);
/** An event `ts` ticks ago. */
const event: fc.Arbitrary<TestEvent> = fc.record(
  {
    user,
    item: fc.integer({ min: 0, max: 6 }).map(i => `i${i}`),
    weight: fc.constantFrom(0, 1, 2, 3, 7, 50, 2000, 100_000),
    op: fc.constantFrom('add', 'add', 'add', 'remove', 'set'),
    ts: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 120 })),
    id: fc.integer({ min: 0, max: 40 }).map(k => `e${k}`),
  },
  { requiredKeys: ['user', 'item', 'op', 'ts'] },
);
const alias: fc.Arbitrary<TestEvent> = fc.record({
  user,
  item: user,
  op: fc.constant('alias' as const),
  ts: fc.integer({ min: 0, max: 60 }),
});
const plain = [event, event, event];
const stepOf = (kinds: readonly fc.Arbitrary<TestEvent>[]): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        events: fc.array(fc.oneof(...kinds), { minLength: 1, maxLength: 10 }),
        replay: fc.integer({ min: 0, max: 5 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('pass' as const),
        ticks: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 400 })),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('fold' as const), limit: fc.integer({ min: 1, max: 20 }) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), user }) },
  );

interface Taken extends TestEvent {
  readonly ts: number;
  readonly sequence: number;
}

const laterOf = (a: Taken, b: Taken): boolean => a.ts > b.ts || (a.ts === b.ts && a.sequence > b.sequence);

/** Who is meant by an id: the newest link of each leads on; of a circle, the oldest is left out. */
function personsOf(links: readonly Taken[]): (id: string) => string {
  const next = new Map<string, Taken>();
  for (const link of links) {
    const known = next.get(link.user);
    if (!known || laterOf(link, known)) next.set(link.user, link);
  }
  const circleFrom = (start: string): Taken[] | undefined => {
    const path: Taken[] = [];
    for (let at: string = start; next.has(at); at = next.get(at)!.item) {
      if (path.some(l => l.user === at)) return path.slice(path.findIndex(l => l.user === at));
      path.push(next.get(at)!);
    }
    return undefined;
  };
  for (const id of [...next.keys()])
    for (let circle = circleFrom(id); circle; circle = circleFrom(id))
      next.delete(circle.reduce((a, b) => (laterOf(a, b) ? b : a)).user);
  return id => {
    let at = id;
    while (next.has(at)) at = next.get(at)!.item;
    return at;
  };
}

/** What arrived, and what of it counts. */
class Events {
  #inbox: Taken[] = [];
  #ids = new Set<string>();
  folded: Taken[] = [];
  #links: Taken[] = [];
  newest: number | undefined;

  append(events: readonly Taken[]): void {
    this.#inbox.push(...events);
  }

  /** `refused` are the sequence numbers of dead letters. */
  fold(refused: ReadonlySet<number>): void {
    for (const e of this.#inbox) {
      this.newest = Math.max(this.newest ?? e.ts, e.ts);
      if (e.id !== undefined && this.#ids.has(e.id)) continue;
      if (e.id !== undefined) this.#ids.add(e.id);
      (e.op === 'alias' ? this.#links : this.folded).push(e);
    }
    this.folded = this.folded.filter(e => !refused.has(e.sequence));
    this.#inbox = [];
  }

  /** What is folded, of persons. */
  ofPersons(): Taken[] {
    const person = personsOf(this.#links);
    return this.folded.map(e => ({ ...e, user: person(e.user) }));
  }

  forget(name: string): void {
    const person = personsOf(this.#links);
    const isHers = (id: string): boolean => person(id) === person(name);
    this.#inbox = this.#inbox.filter(e => !isHers(e.user) && !(e.op === 'alias' && isHers(e.item)));
    this.folded = this.folded.filter(e => !isHers(e.user));
    this.#links = this.#links.filter(e => !isHers(e.user) && !isHers(e.item));
  }
}

/** G of the events, by keys of items: what counts is chosen, aged, added up and multiplied by SQL. */
async function gramianOf(
  connection: DuckDBConnection,
  events: readonly Taken[],
  { interactions, maxWeight = 2 ** 20 }: Semantics,
  { edge, landmark, halfLifeMs = 1 }: Frame,
  eta: number,
): Promise<Map<string, number>> {
  const sum = interactions === 'sum';
  const power = (ts: string) =>
    landmark === undefined ? '1' : `pow(2, floor((${ts} - ${landmark})::DOUBLE / ${halfLifeMs}))`;
  const given = interactions === 'binary' ? 'least(weight, 1)' : 'weight';
  const weight = eta === 0 ? '1' : `round(4096 * 2 ** (-${eta} * floor(log2(count(*)))))`;
  const rows = events.map(e => ({
    user: e.user,
    item: e.item,
    op: e.op ?? 'add',
    weight: e.weight ?? 1,
    ts: e.ts,
    n: e.sequence,
  }));
  const reader = await connection.runAndReadAll(
    `WITH events AS (SELECT unnest(from_json(?, '[{"user":"VARCHAR","item":"VARCHAR","op":"VARCHAR","weight":"DOUBLE","ts":"BIGINT","n":"BIGINT"}]'), recursive := true)),
       ranked AS (SELECT *, row_number() OVER (PARTITION BY "user", item ORDER BY ts DESC, n DESC) AS back FROM events),
       last_set AS (SELECT "user", item, min(back) AS back FROM ranked WHERE ${sum ? "op = 'set'" : 'true'} GROUP BY ALL),
       counting AS (SELECT r.* FROM ranked r LEFT JOIN last_set s USING ("user", item)
         WHERE (s.back IS NULL OR r.back <= s.back) AND ts >= ${edge ?? '-1e18'}),
       aged AS (SELECT "user", item, ts, trunc(${power('ts')} *
         CASE op WHEN 'remove' THEN ${sum ? '-weight' : '0'} ELSE ${given} END) AS value FROM counting),
       x AS (SELECT "user", item, least(sum(value), ${sum ? `trunc(${maxWeight} * ${power('max(ts)')})` : '1e18'}) AS value
         FROM aged GROUP BY ALL HAVING value > 0),
       w AS (SELECT "user", ${weight} AS w FROM x GROUP BY ALL)
     SELECT a.item, b.item, sum(w * a.value * b.value)::DOUBLE
     FROM x a JOIN x b USING ("user") JOIN w USING ("user") GROUP BY ALL`,
    [JSON.stringify(rows)],
  );
  return new Map(reader.getRowsJS().map(([i, j, g]) => [`${i} ${j}`, Number(g)]));
}

/** The sum of the segments of a state, in the same form. */
async function storedEntries({ parts: { store, directory } }: Pipeline): Promise<Map<string, number>> {
  const keys = await store.itemKeys();
  const entries = new Map<string, number>();
  for (const { file } of await store.segments()) {
    const segment = openSegment(join(directory, 'gramian', file));
    const { lengths, indices, values } = readColumns(segment, 0, segment.n);
    for (let j = 0, e = 0; j < segment.n; j++)
      for (const end = e + lengths[j]!; e < end; e++) {
        const key = `${keys[indices[e]!]} ${keys[j]}`;
        entries.set(key, (entries.get(key) ?? 0) + values[e]!);
      }
    segment.close();
  }
  return new Map([...entries].filter(([, g]) => g !== 0));
}

const optionsOf = (semantics: Semantics, eta: number, limit = 1000): PipelineOptions => ({
  state: 'state',
  semantics: { weightScale: 1, ...semantics },
  gramian: { mode: 'stored' },
  fold: { maxEvents: limit },
  fit: { solver: 'fsai', neighbours: 4, userWeighting: eta },
  database: { threads: 1 },
});

const kinds: readonly (Semantics & { readonly eta: number })[] = [
  { interactions: 'binary', window: '5m', eta: 0 },
  { interactions: 'sum', window: '5m', eta: 0.5 },
  { interactions: 'binary', halfLife: '1m', eta: 0.5 },
  { interactions: 'last', halfLife: '1m', window: '8m', eta: 0.5 },
  { interactions: 'sum', halfLife: '1m', eta: 0 },
  { interactions: 'sum', halfLife: '2m', window: '30m', maxWeight: 60, eta: 1 },
  { aliases: true, interactions: 'binary', eta: 0 },
  { aliases: true, interactions: 'sum', eta: 0.5 },
  { aliases: true, interactions: 'last', window: '8m', halfLife: '2m', eta: 0.5 },
  { aliases: true, interactions: 'sum', window: '20m', halfLife: '2m', eta: 0.5 },
];

describe('incremental equals batch at every time', () => {
  it.each(kinds)(
    '$interactions, at most $maxWeight, window $window, half-life $halfLife, η = $eta, aliases $aliases',
    async ({ eta, aliases, ...semantics }) => {
      const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
      const oracle = await instance.connect();
      await fc.assert(
        fc.asyncProperty(
          fc.array(stepOf(aliases ? [...plain, alias] : plain), { minLength: 4, maxLength: 25 }),
          async steps => {
            const directory = mkdtempSync(join(root, 'state-'));
            let limit = 1;
            const p = await createPipeline(optionsOf(semantics, eta), { baseDirectory: directory });
            Object.defineProperty(p.config.fold, 'maxEvents', { get: () => limit });
            const { store } = p.parts;
            const events = new Events();
            const sent: (readonly Taken[])[] = [];
            let [next, now] = [0, 1_000 * tick];

            const append = async (some: readonly Taken[]) => {
              const first = some[0]!.sequence;
              const position = { partition: 'p/0', sequence: first + some.length - 1 };
              await store.append('test', [{ events: columnsOf(some, first), dead: [], position }]);
            };
            const check = async () => {
              const frame = await store.frame();
              const { edge, landmark, newest = 0, halfLifeMs = 1 } = frame;
              expect(await p.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });
              expect(await storedEntries(p)).toEqual(
                await gramianOf(oracle, events.ofPersons(), semantics, frame, eta),
              );
              if (events.newest === undefined) return;
              const ms = (text: string) => Number.parseInt(text, 10) * minute;
              if (semantics.window) {
                const most = events.newest - ms(semantics.window);
                expect(edge).toBeLessThanOrEqual(most);
                expect(edge).toBeGreaterThan(most - ms(semantics.window) / 100);
              }
              if (semantics.halfLife) {
                expect(halfLifeMs).toBe(ms(semantics.halfLife));
                expect(landmark! % halfLifeMs).toBe(0);
                expect(Math.floor(newest / halfLifeMs)).toBe(Math.floor(events.newest / halfLifeMs));
                expect(halfLivesOf(frame)).toBeGreaterThanOrEqual(6);
                expect(halfLivesOf(frame)).toBeLessThanOrEqual(16);
              }
              const sums = (await store.interactions()).indices.length > 0 ? await largestSquares(p) : 0;
              // Users who become one are not kept from it.
              expect(sums).toBeLessThanOrEqual(largestEnergy(eta) * (aliases ? 4 : 1));
            };
            const fold = async () => {
              await p.fold();
              events.fold(new Set((await store.deadLetters(10_000)).map(d => d.sequence)));
              await check();
            };

            for (const s of steps) {
              if (s.kind === 'append') {
                const placed = s.events.map((e, k) => ({ ...e, ts: now - e.ts! * tick, sequence: next + k }));
                next += placed.length;
                sent.push(placed);
                await append(placed);
                events.append(placed);
                const again = s.replay > 0 ? sent[sent.length - s.replay] : undefined;
                if (again) await append(again);
              } else if (s.kind === 'pass') now += s.ticks * tick;
              else if (s.kind === 'compact') await p.compact();
              else if (s.kind === 'forget') {
                await p.forget(s.user);
                events.forget(s.user);
              } else {
                limit = s.limit;
                await fold();
              }
            }
            await fold();
            await p.close();
            rmSync(directory, { recursive: true });
          },
        ),
        { numRuns: 4, seed: 11 },
      );
      oracle.closeSync();
      instance.closeSync();
    },
    300_000,
  );
});

/** max_j Σ_u x_uj². */
async function largestSquares(p: Pipeline): Promise<number> {
  const { n, indices, values } = await p.parts.store.interactions();
  const sums = new Float64Array(n);
  indices.forEach((i, e) => void (sums[i]! += (values?.[e] ?? 1) ** 2));
  return Math.max(...sums);
}
