/**
 * Incremental equals batch, bit for bit. Random streams of adds, removes, sets, duplicates, replays,
 * out-of-order times and user deletions, in random batches, with folds and compactions at random points:
 *
 * - X: the state's matrix equals a second, naive implementation of the semantics over the surviving events;
 * - G: after every fold, the sum of the segments equals XᵀX recomputed by the row update from nothing;
 * - and at the end it equals a self-join that DuckDB computes, which shares no code with either.
 */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openState } from '#connectors/duckdb/state.js';
import {
  joinPipeline,
  openSegment,
  type Rows,
  readColumns,
  type StateStore,
  silent,
  stageOptions,
} from '#src/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { columnsOf, type TestEvent } from '../support/events.js';

type Semantics = Parameters<typeof openState>[1];
type Step =
  | {
      readonly kind: 'append';
      readonly partition: number;
      readonly events: readonly TestEvent[];
      readonly replay: number;
    }
  | { readonly kind: 'fold'; readonly limit: number }
  | { readonly kind: 'compact' }
  | { readonly kind: 'forget'; readonly user: string };

const user = fc.integer({ min: 0, max: 5 }).map(u => `u${u}`);
const event: fc.Arbitrary<TestEvent> = fc.record(
  {
    user,
    item: fc.integer({ min: 0, max: 7 }).map(i => `i${i}`),
    weight: fc.integer({ min: 0, max: 9 }),
    op: fc.constantFrom('add', 'add', 'add', 'remove', 'set'),
    ts: fc.integer({ min: 0, max: 6 }),
    id: fc.integer({ min: 0, max: 25 }).map(k => `e${k}`),
  },
  { requiredKeys: ['user', 'item', 'op', 'ts'] },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      partition: fc.integer({ min: 0, max: 1 }),
      events: fc.array(event, { minLength: 1, maxLength: 12 }),
      replay: fc.integer({ min: 0, max: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('fold' as const), limit: fc.integer({ min: 1, max: 20 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), user }) },
);

interface Arrived extends Required<Pick<TestEvent, 'user' | 'item' | 'op' | 'ts'>> {
  readonly weight: number;
  readonly id: string | undefined;
  readonly channel: number;
  readonly sequence: number;
}

/** The semantics, event by event over plain arrays. */
class NaiveState {
  readonly channels: number[] = [];
  inbox: Arrived[] = [];
  history: Arrived[] = [];
  readonly ids = new Set<string>();
  readonly sequence = [-1, -1];

  constructor(readonly semantics: Semantics) {}

  append(partition: number, events: readonly TestEvent[], first: number): void {
    if (!this.channels.includes(partition)) this.channels.push(partition);
    events.forEach((e, k) => {
      if (first + k <= this.sequence[partition]!) return;
      const channel = this.channels.indexOf(partition);
      this.inbox.push({ weight: 1, id: undefined, op: 'add', ts: 0, ...e, channel, sequence: first + k });
    });
    this.sequence[partition] = Math.max(this.sequence[partition]!, first + events.length - 1);
  }

  fold(): void {
    for (const e of this.inbox) {
      if (e.id !== undefined && this.ids.has(e.id)) continue;
      if (e.id !== undefined) this.ids.add(e.id);
      this.history.push(e);
    }
    this.inbox = [];
  }

  forget(u: string): void {
    this.inbox = this.inbox.filter(e => e.user !== u);
    this.history = this.history.filter(e => e.user !== u);
  }

  /** `user item` → value > 0. */
  matrix(): Map<string, number> {
    const pairs = new Map<string, Arrived[]>();
    for (const e of this.history) {
      const key = `${e.user} ${e.item}`;
      pairs.set(key, [...(pairs.get(key) ?? []), e]);
    }
    const values = new Map<string, number>();
    for (const [key, events] of pairs) {
      events.sort((a, b) => a.ts - b.ts || a.channel - b.channel || a.sequence - b.sequence);
      let value = 0;
      for (const { op, weight } of events) {
        if (this.semantics.interactions === 'binary') value = op === 'remove' ? 0 : Math.min(1, weight);
        else if (this.semantics.interactions === 'last') value = op === 'remove' ? 0 : weight;
        else value = op === 'set' ? weight : op === 'add' ? value + weight : value - weight;
      }
      if (this.semantics.maxWeight !== undefined) value = Math.min(value, this.semantics.maxWeight);
      if (value > 0) values.set(key, value);
    }
    return values;
  }
}

/** The state's matrix in the naive form. */
async function matrixOf(store: StateStore): Promise<Map<string, number>> {
  const keys = await store.itemKeys();
  const values = new Map<string, number>();
  for await (const { keys: users, rows } of store.histories(3)) {
    const { indptr, indices, values: x }: Rows = rows;
    users.forEach((u, r) => {
      for (let e = indptr[r]!; e < indptr[r + 1]!; e++)
        values.set(`${u} ${keys[indices[e]!]}`, x ? x[e]! : 1);
    });
  }
  return values;
}

/** G by a self-join in SQL, users weighted by their octaves, as `i j` → value. */
async function selfJoin(directory: string, userWeighting: number): Promise<Map<string, number>> {
  const instance = await DuckDBInstance.create(join(directory, 'state.duckdb'));
  const connection = await instance.connect();
  const weight = userWeighting === 0 ? '1' : `round(4096 * 2 ** (-${userWeighting} * floor(log2(count(*)))))`;
  const reader = await connection.runAndReadAll(`
    WITH weights AS (SELECT "user", ${weight}::BIGINT AS w FROM matrix GROUP BY "user")
    SELECT a.item, b.item, sum(w * a.value * b.value)::DOUBLE
    FROM matrix a JOIN matrix b ON a."user" = b."user" JOIN weights ON weights."user" = a."user" GROUP BY ALL`);
  connection.closeSync();
  instance.closeSync();
  return new Map(reader.getRowsJS().map(([i, j, g]) => [`${i} ${j}`, Number(g)]));
}

/** Σ of the segment files, in the same form. */
function storedEntries(paths: readonly string[]): Map<string, number> {
  const entries = new Map<string, number>();
  for (const segment of paths.map(openSegment)) {
    const { lengths, indices, values } = readColumns(segment, 0, segment.n);
    for (let j = 0, e = 0; j < segment.n; j++) {
      for (const end = e + lengths[j]!; e < end; e++) {
        const key = `${indices[e]} ${j}`;
        entries.set(key, (entries.get(key) ?? 0) + values[e]!);
      }
    }
    segment.close();
  }
  return new Map([...entries].filter(([, g]) => g !== 0));
}

const semantics: readonly (Semantics & { readonly userWeighting: number })[] = [
  { interactions: 'binary', weightScale: 1, userWeighting: 0 },
  { interactions: 'last', weightScale: 1, userWeighting: 0 },
  { interactions: 'sum', weightScale: 1, userWeighting: 0 },
  { interactions: 'sum', weightScale: 1, maxWeight: 3, userWeighting: 0 },
  // up to 8 items a user: degrees go up and down through the octaves of 1, 2, 4 and 8
  { interactions: 'binary', weightScale: 1, userWeighting: 0.5 },
  { interactions: 'last', weightScale: 1, userWeighting: 1 },
];

describe('incremental equals batch', () => {
  it.each(semantics)(
    '$interactions, at most $maxWeight, η = $userWeighting',
    async ({ userWeighting, ...kind }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async steps => {
          const directory = temporaryDirectory();
          const store = await openState(directory, kind, { threads: 1 });
          let limit = 1;
          const options = stageOptions.parse({ gramian: { mode: 'stored' }, fit: { userWeighting } });
          const pipeline = joinPipeline({
            directory,
            store,
            scale: 1,
            weights: { ...kind, scale: 1 },
            fitMemoryBytes: 2 ** 28,
            sources: [],
            sinks: [],
            options: {
              ...options,
              fold: {
                get maxEvents() {
                  return limit;
                },
              },
            },
            log: silent,
          });
          const naive = new NaiveState(kind);
          const sent: { partition: number; events: readonly TestEvent[]; first: number }[] = [];
          const next = [0, 0];

          const append = async (partition: number, events: readonly TestEvent[], first: number) => {
            const position = { partition: `p/${partition}`, sequence: first + events.length - 1 };
            await store.append('test', [{ events: columnsOf(events, first), dead: [], position }]);
            naive.append(partition, events, first);
          };
          const fold = async () => {
            await pipeline.fold();
            naive.fold();
            expect(await matrixOf(store)).toEqual(naive.matrix());
            expect(await pipeline.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });
          };

          for (const s of steps) {
            if (s.kind === 'append') {
              const first = next[s.partition]!;
              next[s.partition]! += s.events.length;
              sent.push({ partition: s.partition, events: s.events, first });
              await append(s.partition, s.events, first);
              const again = s.replay > 0 ? sent[sent.length - s.replay] : undefined;
              if (again) await append(again.partition, again.events, again.first);
            } else if (s.kind === 'fold') {
              limit = s.limit;
              await fold();
            } else if (s.kind === 'compact') {
              await pipeline.compact();
            } else {
              await pipeline.forget(s.user);
              naive.forget(s.user);
            }
          }
          await fold();
          const paths = (await store.segments()).map(f => join(directory, 'gramian', f.file));
          await store.close();
          expect(storedEntries(paths)).toEqual(await selfJoin(directory, userWeighting));
        }),
        { numRuns: 15, seed: 7 },
      );
    },
    // Each erasure among the steps writes the database and the Gramian anew.
    300_000,
  );
});
