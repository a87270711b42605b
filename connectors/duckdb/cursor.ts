import { createHash } from 'node:crypto';

/** Rows with the border's cursor that a token remembers one by one. */
const mostTies = 10_000;

/** Where a read ended. */
export interface Token {
  /** The cursor's value at the border, as text. */
  readonly cursor: string;
  /** How many rows with that value were taken. */
  readonly taken: number;
  /** Their fingerprints, up to `mostTies`: rows that join them later are then told from them, wherever they sort. */
  readonly ties?: readonly string[] | undefined;
  /** Rows up to the border that are accounted for: taken, or warned of. */
  readonly known: number;
}

/** Tells rows with the same cursor apart. */
export const fingerprint = (row: string): string =>
  createHash('md5').update(row).digest('base64url').slice(0, 12);

/** The token behind a batch: `cursors` are its rows' cursors in ascending order. */
export function advance(
  token: Token | undefined,
  cursors: readonly string[],
  row: (k: number) => readonly unknown[],
): Token {
  const last = cursors.at(-1)!;
  let first = cursors.length;
  while (first > 0 && cursors[first - 1] === last) first--;
  const earlier = token?.cursor === last ? token : undefined;
  const taken = (earlier?.taken ?? 0) + cursors.length - first;
  const known = (token?.known ?? 0) + cursors.length;
  if (taken > mostTies) return { cursor: last, taken, known };
  const ties = [...(earlier?.ties ?? [])];
  for (let k = first; k < cursors.length; k++) ties.push(fingerprint(JSON.stringify(row(k))));
  return { cursor: last, taken, ties, known };
}
