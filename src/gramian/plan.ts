/** Origin of a fit's columns: sums over segment files, or computed from X. */
export type GramianMode = 'stored' | 'implicit';

/** A state's record of its Gramian; η = `userWeighting` and `maxHistory` are in the segments, if there are any. */
export interface GramianState {
  readonly mode: GramianMode;
  readonly userWeighting: number;
  /** Items of a history that are in G at most, the newest ones; all without. */
  readonly maxHistory?: number | undefined;
  /** Where the mode was chosen by sizes: what they were counted under, so that they need not be counted for each fold. */
  readonly planned?: Planned | undefined;
}

/** A choice of the mode holds while its settings do, and until there are a sixteenth more events. */
export interface Planned {
  /** Events that were folded then. */
  readonly events: number;
  /** The settings that it depends on, as text. */
  readonly settings: string;
}

/** Whether a choice still holds. */
export const stillHolds = (planned: Planned | undefined, now: Planned): boolean =>
  planned?.settings === now.settings && 16 * (now.events - planned.events) < planned.events;

/**
 * Entries of G when Σ_u d_u² pairs fall on n² cells at random: n²(1 − e^(−pairs/n²)). Real pairs crowd on
 * popular items, so this is an upper estimate.
 */
export function expectedEntries(n: number, pairs: number): number {
  return n === 0 ? 0 : n * n * -Math.expm1(-pairs / (n * n));
}

/**
 * Nanoseconds of one thread in a pass over all columns: for each pair of X, and for each entry of a stored G. Measured with 3,000 to
 * 100,000 items, where the former are 0.6 to 6 and the latter 1.8 to 8, as the sums leave the caches; an entry costs 1 to 2 pairs
 * in all sparse catalogues, more with many neighbours in small dense ones, which have many pairs an entry.
 */
const PAIR_NS = 3;
const ENTRY_NS = 6;
/** How much cheaper the other mode must be before a state moves to it: it does not go back and forth. */
const MARGIN = Math.SQRT2;

/** The sizes that decide between the two. */
export interface GramianSizes {
  readonly items: number;
  /** Σ_u d_u² */
  readonly pairs: number;
  /** Entries of the segments, where there are any. */
  readonly entries?: number | undefined;
}

/** Entries of G that are stored whatever X has, and for each entry of X where there are more. */
const ALWAYS = 2 ** 30;
const VAST = 128;

/**
 * Whether G is small enough for files. One history of 200,000 items alone makes 40 billion entries: a fold would write them for
 * hours, so that G is computed from X instead, and a fit says what memory that takes.
 */
export const storable = (
  { items, pairs, entries = expectedEntries(items, pairs) }: GramianSizes,
  interactions: number,
): boolean => entries <= Math.max(ALWAYS, VAST * interactions);

/**
 * The mode whose passes cost less: both make as many of them for a solver and a budget. Where G is not stored its entries
 * are estimated from above, so that a state leaves `implicit` only for a gain that is sure.
 */
export function planGramian(
  { items, pairs, entries = expectedEntries(items, pairs) }: GramianSizes,
  current: GramianMode | undefined,
): GramianMode {
  const gain = (pairs * PAIR_NS) / Math.max(1, entries * ENTRY_NS);
  const least = current === 'stored' ? 1 / MARGIN : current === 'implicit' ? MARGIN : 1;
  return gain >= least ? 'stored' : 'implicit';
}
