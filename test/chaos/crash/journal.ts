import type { PipelineOptions } from '../../../jobs/index.js';
import type { Random } from '../../support/random.js';

/** What events mean, as the configuration says it. */
export const semantics = {
  binary: { interactions: 'binary' },
  last: { interactions: 'last', weightScale: 100 },
  sum: { interactions: 'sum', weightScale: 1 },
  capped: { interactions: 'sum', weightScale: 1, maxWeight: 3 },
} satisfies Record<string, PipelineOptions['semantics']>;
export type Meaning = keyof typeof semantics;
export const meanings = Object.keys(semantics) as Meaning[];

/** A row of the source; one without a user is a dead letter. */
export interface Row {
  readonly n: number;
  readonly user: string;
  readonly item: string;
  readonly weight: number;
  readonly op: 'add' | 'remove' | 'set';
  readonly ts: number;
  readonly id: string;
}

/** Rows that are published, folded behind that, waiting in the inbox, and still in the source. */
export const batches = [320, 110, 110, 130];
export const total = batches.reduce((sum, n) => sum + n, 0);

const users = 40;
const items = 24;
/** Users 0 … 3 may be forgotten; their events have no ids, so none stays behind. */
export const forgettable = 4;

/** Rows `first` …: late ones, repeated ids, removals and dead letters among them. */
export function makeRows(random: Random, meaning: Meaning, first: number, count: number): Row[] {
  const below = (n: number) => Math.floor(n * random());
  const rows: Row[] = [];
  for (let n = first; n < first + count; n++) {
    const user = below(users);
    const repeated = random() < 0.08 ? rows[below(rows.length)] : undefined;
    if (repeated?.id) {
      rows.push({ ...repeated, n });
      continue;
    }
    const kind = random();
    rows.push({
      n,
      user: random() < 0.02 ? '' : `u${user}`,
      item: `i${Math.floor(items * random() * random())}`,
      weight: meaning === 'last' ? (1 + below(6)) / 2 : 1 + below(3),
      op: kind < 0.8 ? 'add' : kind < 0.9 ? 'remove' : 'set',
      ts: 1_767_225_600_000 + 1000 * (n - below(40)),
      id: user >= forgettable && random() < 0.4 ? `e${n}` : '',
    });
  }
  return rows;
}

export const csv = (rows: readonly Row[]): string =>
  ['n,user,item,weight,op,ts,id', ...rows.map(r => [r.n, r.user, r.item, r.weight, r.op, r.ts, r.id].join())]
    .join('\n')
    .concat('\n');

/**
 * What a state must hold, worked out anew from the rows themselves by the rules of the manual: the newest event by
 * time, then by position, decides; an id counts once; sums begin at the newest `set`.
 */
export class Journal {
  readonly #meaning: Meaning;
  #events: { readonly row: Row; readonly erased: boolean }[] = [];
  /** Positions of rejected rows. */
  readonly dead: number[] = [];

  constructor(meaning: Meaning) {
    this.#meaning = meaning;
  }

  get length(): number {
    return this.#events.length;
  }

  take(rows: readonly Row[]): this {
    for (const row of rows) {
      if (row.user) this.#events.push({ row, erased: false });
      else this.dead.push(row.n);
    }
    return this;
  }

  /** Erases a user when `folded` events are folded; those that wait are gone as if they had never come. */
  forget(user: string, folded: number): this {
    this.#events = this.#events
      .filter(({ row }, k) => k < folded || row.user !== user)
      .map(({ row, erased }) => ({ row, erased: erased || row.user === user }));
    return this;
  }

  /** X, in units of 1/weightScale, after the first `folded` events: `user item` → value > 0. */
  matrix(folded: number): Map<string, number> {
    const ids = new Set<string>();
    const pairs = new Map<string, Row[]>();
    for (const { row, erased } of this.#events.slice(0, folded)) {
      if (row.id && ids.has(row.id)) continue;
      ids.add(row.id);
      const key = `${row.user} ${row.item}`;
      if (!erased) pairs.set(key, [...(pairs.get(key) ?? []), row]);
    }
    const values = [...pairs].map(([key, rows]): [string, number] => [key, this.#value(rows)]);
    return new Map(values.filter(([, value]) => value > 0).sort());
  }

  #value(rows: Row[]): number {
    rows.sort((a, b) => a.ts - b.ts || a.n - b.n);
    const newest = rows.at(-1)!;
    switch (this.#meaning) {
      case 'binary':
        return newest.op === 'remove' ? 0 : Math.min(1, newest.weight);
      case 'last':
        return newest.op === 'remove' ? 0 : 100 * newest.weight;
      default: {
        const since = rows.slice(Math.max(0, rows.map(r => r.op).lastIndexOf('set')));
        const sum = since.reduce((total, r) => total + (r.op === 'remove' ? -r.weight : r.weight), 0);
        return this.#meaning === 'capped' ? Math.min(3, sum) : sum;
      }
    }
  }
}
