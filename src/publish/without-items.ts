import type { RankedList } from '../contracts/sink.js';

/** A list without some items; `undefined` if it has none of them. */
export function withoutItems(
  list: Omit<RankedList, 'id'>,
  erased: ReadonlySet<string>,
): Omit<RankedList, 'id'> | undefined {
  if (!list.items.some(item => erased.has(item))) return undefined;
  const kept = [...list.items.keys()].filter(k => !erased.has(list.items[k]!));
  const first = list.items.length - (list.fallback ?? 0);
  const fallback = kept.filter(k => k >= first).length;
  return {
    items: kept.map(k => list.items[k]!),
    scores: kept.map(k => list.scores[k]!),
    ...(fallback > 0 ? { fallback } : {}),
  };
}
