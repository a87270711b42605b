import type { PartitionEnd } from '../../src/contracts/index.js';

/** What the token of a position has beside where reading has come to. */
export interface Bookmark {
  /** Of a history: where each partition of the stream ended when it was first read. */
  readonly ends?: readonly PartitionEnd[] | undefined;
  /** Fingerprint of the query that was read, and the column by which it went; null without one. */
  readonly query?: string | undefined;
  readonly cursor?: string | null | undefined;
}

interface Written extends Bookmark {
  readonly border: string | null;
}

/** A bookmark and the token of a border in one token. */
export const writeBookmark = (bookmark: Bookmark, border: string | undefined): string =>
  JSON.stringify({ ...bookmark, border: border ?? null } satisfies Written);

/** A token apart; that of an earlier program is the border's alone. */
export function readBookmark(token: string | undefined): {
  readonly bookmark: Bookmark;
  readonly token: string | undefined;
} {
  const written = token === undefined ? undefined : (JSON.parse(token) as Partial<Written>);
  if (written?.border === undefined) return { bookmark: {}, token };
  const { border, ...bookmark } = written;
  return { bookmark, token: border ?? undefined };
}
