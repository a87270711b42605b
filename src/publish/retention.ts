import type { SinkVersion } from '../contracts/sink.js';

type Place = Pick<SinkVersion, 'version' | 'ordinal' | 'publishedAt'>;

/** Sorts the newest publication first: by ordinal, and by time the older ones that have none. */
export function newestFirst(a: Place, b: Place): number {
  const time = (v: Place) => `${v.publishedAt} ${v.version}`;
  return (b.ordinal ?? 0) - (a.ordinal ?? 0) || (time(a) < time(b) ? 1 : -1);
}

/** The ordinal of a publication that comes after `versions`. */
export function nextOrdinal(versions: readonly Place[]): number {
  return versions.reduce((last, { ordinal = 0 }) => Math.max(last, ordinal), 0) + 1;
}

/** Versions to delete: complete ones, except those `named` by an alias and the `keep` newest. */
export function superseded(
  versions: readonly (Place & Pick<SinkVersion, 'complete'>)[],
  named: Iterable<string>,
  keep: number,
): string[] {
  const spared = new Set(named);
  return versions
    .filter(v => v.complete)
    .sort(newestFirst)
    .slice(Math.max(0, keep))
    .map(v => v.version)
    .filter(version => !spared.has(version));
}
