import { createHash } from 'node:crypto';
import type { ListKind } from '../../src/contracts/sink.js';
import { keyLayout } from '../../src/publish/layout.js';

/** Longest id kept as it is, UTF-8 bytes: with the longest prefix and version its key stays below LMDB's 1978. */
const maxIdBytes = 1024;

/** A key as LMDB takes it. */
export const bytes = (key: string): Buffer => Buffer.from(key);

/**
 * The keys of one prefix as plain UTF-8 bytes of the layout, so that any LMDB reader finds them by name; an id above 1024
 * bytes is replaced by its SHA-256 under `uh` or `ih`. Beside the layout there are `p:lease` and `p:<version>:progress`,
 * both only while a version is written.
 */
export function lmdbKeys(prefix: string) {
  const layout = keyLayout(prefix);

  function text(version: string, kind: ListKind, id: string): string {
    // A UTF-16 unit takes at most 3 bytes of UTF-8, so short ids need no count.
    if (id.length * 3 <= maxIdBytes || Buffer.byteLength(id) <= maxIdBytes)
      return layout.list(version, kind, id);
    const digest = createHash('sha256').update(id).digest('hex');
    return `${layout.mark(version)}:${kind === 'users' ? 'uh' : 'ih'}:${digest}`;
  }

  return {
    prefix,
    text,
    list: (version: string, kind: ListKind, id: string): Buffer => bytes(text(version, kind, id)),
    lease: bytes(`${prefix}:lease`),
    pointer: (alias?: string): Buffer => bytes(layout.pointer(alias)),
    mark: (version: string): Buffer => bytes(layout.mark(version)),
    progress: (version: string): Buffer => bytes(`${layout.mark(version)}:progress`),
    /** Where the lists of a version begin, and what comes behind them: ';' follows ':'. */
    lists: (version: string) => ({
      start: bytes(`${layout.mark(version)}:`),
      end: bytes(`${layout.mark(version)};`),
    }),
    /** Where the lists of one kind are, by id and by digest. */
    kind: (version: string, kind: ListKind) =>
      (kind === 'users' ? ['u', 'uh'] : ['i', 'ih']).map(part => ({
        start: bytes(`${layout.mark(version)}:${part}:`),
        end: bytes(`${layout.mark(version)}:${part};`),
      })),
    /** The part of a list's key behind its version. */
    suffix: (version: string, key: string): string => key.slice(layout.mark(version).length + 1),
  };
}

/** The keys of one prefix. */
export type LmdbKeys = ReturnType<typeof lmdbKeys>;
