import { champion, type ListKind } from '../contracts/sink.js';
import { StageError } from '../errors.js';

const versionPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const aliasPattern = /^[a-z0-9][a-z0-9_-]{0,63}$/;
/** Names that the layout itself uses in keys. */
const reserved = ['current', 'versions', 'aliases', 'lease'];

/**
 * Throws `SINK_FAILED` unless `version` can be part of a key and of a path: at most 128 letters, digits,
 * `.`, `_` and `-`, beginning with a letter or digit. Names that the layout itself uses are refused.
 */
export function checkVersion(version: string, where: string): void {
  if (versionPattern.test(version) && !reserved.includes(version.split('.', 1)[0]!)) return;
  throw new StageError(
    'SINK_FAILED',
    `expected a version of at most 128 letters, digits, ".", "_" or "-" other than ${reserved.join(', ')}, found ${JSON.stringify(version)}, where ${where}`,
  );
}

/** Throws `USAGE` unless `alias` is at most 64 lower-case letters, digits, `_` and `-`. */
export function checkAlias(alias: string): void {
  if (aliasPattern.test(alias)) return;
  throw new StageError(
    'USAGE',
    `alias: expected at most 64 lower-case letters, digits, "_" or "-", found ${JSON.stringify(alias)}`,
  );
}

/**
 * The keys of one prefix `p` in a key-value store. Neither prefixes nor versions hold a `:`, so no two keys meet.
 *
 *     p:current              the version readers use, alias `champion`
 *     p:current:<alias>      the version of any other alias
 *     p:<version>            that version's manifest; present only while the version is complete
 *     p:<version>:u:<user>   list of a user
 *     p:<version>:i:<item>   list of an item
 *     p:<version>:v:<item>   vector of an item
 */
export interface KeyLayout {
  readonly prefix: string;
  pointer(alias: string | undefined): string;
  mark(version: string): string;
  list(version: string, kind: ListKind, id: string): string;
  vector(version: string, item: string): string;
}

/** The key layout of `prefix`. */
export function keyLayout(prefix: string): KeyLayout {
  return {
    prefix,
    pointer: alias =>
      alias === undefined || alias === champion ? `${prefix}:current` : `${prefix}:current:${alias}`,
    mark: version => `${prefix}:${version}`,
    list: (version, kind, id) => `${prefix}:${version}:${kind === 'users' ? 'u' : 'i'}:${id}`,
    vector: (version, item) => `${prefix}:${version}:v:${item}`,
  };
}
