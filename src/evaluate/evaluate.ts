import { type Rows, rowsOfUsers, rowsPerItem } from '../matrix/rows.js';
import type { Model } from '../model/model.js';
import { loadRanker, type RankedRows, rankRows } from '../model/rank.js';
import { onEngine, type Resources } from '../runtime/threads.js';
import { type Bootstrap, type Catalogue, createTally, type Metrics } from './metrics.js';

/** Users ranked at a time. */
const batchRows = 8192;

/**
 * Measures the lists that `rank` makes of train rows (own items left out) for every user with test items. Rows are
 * matched by user id; a test user without a train row is given an empty one. Test items ≥ n are items that are missed.
 */
export function measureLists(
  rank: (rows: Rows) => RankedRows,
  catalogue: Catalogue,
  train: Rows,
  test: Rows,
  k: number,
  bootstrap?: Bootstrap,
): Metrics {
  const tally = createTally(k, catalogue, bootstrap);
  for (let first = 0; first < test.users.length; first += batchRows) {
    const last = Math.min(test.users.length, first + batchRows);
    const lists = rank(rowsOfUsers(train, test.users.subarray(first, last)));
    for (let r = first; r < last; r++) {
      const relevant = new Set(test.indices.subarray(test.indptr[r]!, test.indptr[r + 1]!));
      if (relevant.size === 0) continue;
      const at = (r - first) * lists.k;
      tally.add(lists.items.subarray(at, at + lists.lengths[r - first]!), relevant);
    }
  }
  return tally.metrics();
}

/** Resources and options of an evaluation. */
export interface EvaluateSettings extends Resources {
  /** Whether to score through both layers even where there is a serving matrix. */
  readonly layered?: boolean | undefined;
  /** Popularity of the items, if `train` does not hold every user; by default that of `train`. */
  readonly catalogue?: Catalogue | undefined;
  readonly bootstrap?: Bootstrap | undefined;
  /** Hears how many seconds ranking took, without the metrics. */
  readonly ranked?: ((seconds: number) => void) | undefined;
}

/**
 * Recommends k items, the train items masked, to every user with test items, and compares them with the test
 * items (LightGCN protocol: an empty list counts as 0). The same for any number of threads.
 */
export function evaluate(
  model: Model,
  train: Rows,
  test: Rows,
  k: number,
  settings: EvaluateSettings = {},
): Promise<Metrics> {
  return onEngine(settings, engine => {
    const { arena } = engine;
    const mark = arena.mark();
    const ranker = loadRanker(engine, model, k, settings.layered);
    const loaded = arena.mark();
    const catalogue = settings.catalogue ?? { usersOf: rowsPerItem(train), users: train.users.length };
    let ranking = 0;
    const rank = (rows: Rows): RankedRows => {
      const started = performance.now();
      arena.release(loaded);
      const lists = rankRows(ranker, rows);
      ranking += performance.now() - started;
      return lists;
    };
    const metrics = measureLists(rank, catalogue, train, test, k, settings.bootstrap);
    arena.release(mark);
    settings.ranked?.(ranking / 1000);
    return metrics;
  });
}
