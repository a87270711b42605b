import { StageError } from '../errors.js';
import { type Rows, rowsOfUsers } from '../matrix/rows.js';
import { hashed } from './hashed.js';
import type { HoldoutOptions } from './options.js';

/** X with the time of each entry, epoch ms: that of the newest event of its user and item. */
export interface TimedRows extends Rows {
  readonly times: Float64Array;
}

/** For each entry of X, whether it is held out. */
export type Marks = Uint8Array;

/**
 * Leave-last-out: the newest entry of each user with two or more. Of entries with the same time (an order) the seed
 * decides which.
 */
export function leaveLastOut({ users, indptr, indices, times }: TimedRows, seed: number): Marks {
  const marks = new Uint8Array(indices.length);
  for (let r = 0; r < users.length; r++) {
    const [from, to] = [indptr[r]!, indptr[r + 1]!];
    if (to - from < 2) continue;
    const draw = (e: number): number => hashed(seed, users[r]!, indices[e]!);
    let last = from;
    for (let e = from + 1; e < to; e++) {
      if (times[e]! > times[last]! || (times[e] === times[last] && draw(e) > draw(last))) last = e;
    }
    marks[last] = 1;
  }
  return marks;
}

/**
 * The time at which as close to `share` of all entries begin as times allow, some on either side. `DATA_INVALID` when all
 * have the same time.
 */
export function cutAt(times: Float64Array, share: number): number {
  const sorted = times.slice().sort();
  const { length } = sorted;
  if (length === 0 || sorted[0] === sorted[length - 1]) {
    throw new StageError(
      'DATA_INVALID',
      `holdout time: expected interactions at different times, found ${length === 0 ? 'none' : `all ${length} at ${new Date(sorted[0]!).toISOString()}`}`,
    );
  }
  const wanted = Math.round(length * (1 - share));
  const at = sorted[Math.min(length - 1, wanted)]!;
  let [lo, hi] = [wanted, wanted];
  while (lo > 0 && sorted[lo - 1] === at) lo--;
  while (hi < length && sorted[hi] === at) hi++;
  const down = lo > 0 && (hi === length || wanted - lo <= hi - wanted);
  return down ? sorted[lo]! : sorted[hi]!;
}

/** Time split: the entries at or behind `cut` (epoch ms). */
export function behind({ times }: TimedRows, cut: number): Marks {
  return Uint8Array.from(times, time => (time >= cut ? 1 : 0));
}

/** Random share: each entry by a draw of its own, but never a user's last remaining one. */
export function randomShare({ users, indptr, indices }: Rows, share: number, seed: number): Marks {
  const marks = new Uint8Array(indices.length);
  for (let r = 0; r < users.length; r++) {
    const [from, to] = [indptr[r]!, indptr[r + 1]!];
    let kept = from;
    let most = -1;
    for (let e = from; e < to; e++) {
      const draw = hashed(seed, users[r]!, indices[e]!);
      marks[e] = draw < share ? 1 : 0;
      if (draw > most) [kept, most] = [e, draw];
    }
    if (to > from) marks[kept] = 0;
  }
  return marks;
}

/**
 * Parts X into what is not marked and what is. A user without an unmarked entry is in neither: nothing can be
 * recommended to somebody unknown. The arrays of the train rows are shared with threads they are sent to.
 */
export function divide(rows: Rows, marks: Marks): { readonly train: Rows; readonly test: Rows } {
  const known = new Uint8Array(rows.users.length);
  for (let r = 0; r < rows.users.length; r++) {
    for (let e = rows.indptr[r]!; e < rows.indptr[r + 1]!; e++) if (marks[e] === 0) known[r] = 1;
  }
  return { train: part(rows, marks, 0, known), test: { ...part(rows, marks, 1, known), values: undefined } };
}

const int32 = (length: number): Int32Array => new Int32Array(new SharedArrayBuffer(4 * length));

/**
 * Marks as well, of each user's unmarked entries, all but the newest `most`; of those with the same time the later items
 * stay. `undefined` where no user has more.
 */
export function markOld(
  { users, indptr, indices, times }: TimedRows,
  marks: Marks,
  most: number,
): Marks | undefined {
  let old: Marks | undefined;
  for (let r = 0; r < users.length; r++) {
    const own: number[] = [];
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) if (marks[e] === 0) own.push(e);
    if (own.length <= most) continue;
    old ??= marks.slice();
    own.sort((a, b) => times[b]! - times[a]! || indices[b]! - indices[a]!);
    for (const e of own.slice(most)) old[e] = 1;
  }
  return old;
}

/** The entries of `known` rows whose mark is `mark`, without rows that have none. */
function part(
  { n, users, indptr, indices, values }: Rows,
  marks: Marks,
  mark: number,
  known: Uint8Array,
): Rows {
  const lengths = new Int32Array(users.length);
  let [count, entries] = [0, 0];
  for (let r = 0; r < users.length; r++) {
    if (known[r] === 0) continue;
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) if (marks[e] === mark) lengths[r]!++;
    if (lengths[r]! > 0) count++;
    entries += lengths[r]!;
  }
  const found = {
    n,
    users: int32(count),
    indptr: int32(count + 1),
    indices: int32(entries),
    values: values && int32(entries),
  };
  for (let r = 0, at = 0, f = 0; r < users.length; r++) {
    if (lengths[r] === 0) continue;
    found.users[at++] = users[r]!;
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) {
      if (marks[e] !== mark) continue;
      found.indices[f] = indices[e]!;
      if (values) found.values![f] = values[e]!;
      f++;
    }
    found.indptr[at] = f;
  }
  return found;
}

/** The rows of `count` users drawn by the seed, all when there are no more: of two samples the larger has the smaller. */
export function sampleUsers(rows: Rows, count: number | undefined, seed: number): Rows {
  if (count === undefined || count >= rows.users.length) return rows;
  const draws = Float64Array.from(rows.users, user => hashed(seed, user, -1));
  const limit = draws.slice().sort()[count]!;
  return rowsOfUsers(
    rows,
    rows.users.filter((_, r) => draws[r]! < limit),
  );
}

/** A divided X, and where it was cut if that was in time. */
export interface SplitRows {
  readonly train: Rows;
  /** The part of the train rows that a fit sees, where it does not see all. */
  readonly fitted?: Rows | undefined;
  readonly test: Rows;
  /** Epoch ms. */
  readonly cut: number | undefined;
  /** Share of the held-out entries that are of users without any other: nobody can be asked for them. */
  readonly unjudged: number;
}

/**
 * Divides X as the options say; the test rows are those of the sampled users. A fit sees the newest `maxHistory` train
 * entries of each user. `DATA_INVALID` if there is nothing to test.
 */
export function split(
  rows: TimedRows,
  {
    holdout,
    share,
    cut,
    sample,
    seed,
    maxHistory,
  }: HoldoutOptions & { readonly maxHistory?: number | undefined },
): SplitRows {
  const time =
    holdout !== 'time' ? undefined : cut === undefined ? cutAt(rows.times, share) : Date.parse(cut);
  const marks =
    time !== undefined
      ? behind(rows, time)
      : holdout === 'last'
        ? leaveLastOut(rows, seed)
        : randomShare(rows, share, seed);
  const { train, test } = divide(rows, marks);
  if (test.users.length === 0) {
    const cutText = time === undefined ? '' : ` cut at ${new Date(time).toISOString()}`;
    throw new StageError(
      'DATA_INVALID',
      `holdout ${holdout}${cutText}: expected users with interactions on both sides, found none among ${rows.users.length} users`,
    );
  }
  const old = maxHistory === undefined ? undefined : markOld(rows, marks, maxHistory);
  const fitted = old && divide(rows, old).train;
  const heldOut = marks.reduce((sum, mark) => sum + mark, 0);
  const unjudged = 1 - test.indices.length / heldOut;
  return { train, fitted, test: sampleUsers(test, sample, seed), cut: time, unjudged };
}
