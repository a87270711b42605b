import { type Rows, rowsPerItem } from '../matrix/rows.js';
import { onEngine, type Resources } from '../runtime/threads.js';
import type { Model } from './model.js';
import { type Choice, loadRanker, type RankedRows, rankRows } from './rank.js';

/** Rules and resources of making lists. */
export interface RecommendSettings extends Resources, Choice {
  /** Whether to score through both layers even where there is a serving matrix. */
  readonly layered?: boolean | undefined;
}

/**
 * The k best items for every row of `rows`, the row's own left out, over all threads. A row that the model knows nothing
 * of, such as an empty one for an unknown user, gets `popular` items alone, if these are given, and all of them count
 * as fallbacks; else it gets none. The lists are copies: row r has `lengths[r]` items at r·k.
 *
 * @throws StageError `MEMORY_BUDGET` when `memoryBytes` does not suffice.
 */
export function recommendAll(
  model: Model,
  rows: Rows,
  k: number,
  settings: RecommendSettings = {},
): Promise<RankedRows> {
  return onEngine(settings, engine => {
    const mark = engine.arena.mark();
    const ranker = loadRanker(engine, model, k, settings.layered);
    const { lengths, items, scores, fallbacks } = rankRows(ranker, rows, settings);
    engine.arena.release(mark);
    const copies = { items: items.slice(), scores: scores.slice(), fallbacks: fallbacks.slice() };
    return { k, lengths: lengths.slice(), ...copies };
  });
}

/** Items by how many rows have them, the most popular first, ties by the smaller item; those that none has left out. */
export function popularItems(rows: Rows): Int32Array {
  const counts = rowsPerItem(rows);
  const items = Int32Array.from(counts.keys()).filter(i => counts[i]! > 0);
  return items.sort((a, b) => counts[b]! - counts[a]! || a - b);
}
