import type { ListKind } from '../connector.js';
import { StageError } from '../errors.js';

const versionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Throws `SINK_FAILED` unless `version` can be part of a key and of a path: at most 128 letters, digits,
 * `.`, `_` and `-`, starting with a letter or digit, and not `current`, which names the pointer.
 */
export function checkVersion(version: string, where: string): void {
  if (versionPattern.test(version) && version !== 'current') return;
  throw new StageError(
    'SINK_FAILED',
    `expected a version of at most 128 letters, digits, ".", "_" or "-" other than "current", found ${JSON.stringify(version)}, where ${where}`,
  );
}

/**
 * The keys of one prefix `p` in a key-value store. Neither prefixes nor versions hold a `:`, so no two keys meet.
 *
 *     p:current              the version readers use
 *     p:<version>            that version's manifest; present only while the version is complete
 *     p:<version>:u:<user>   list of a user
 *     p:<version>:i:<item>   list of an item
 */
export interface KeyLayout {
  readonly current: string;
  mark(version: string): string;
  list(version: string, kind: ListKind, id: string): string;
}

/** The key layout of `prefix`. */
export function keyLayout(prefix: string): KeyLayout {
  return {
    current: `${prefix}:current`,
    mark: version => `${prefix}:${version}`,
    list: (version, kind, id) => `${prefix}:${version}:${kind === 'users' ? 'u' : 'i'}:${id}`,
  };
}
