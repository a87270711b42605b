import type { SinkVersion } from '../contracts/sink.js';

/** Versions to delete: complete ones, except those `named` by an alias and the `keep` newest by publication. */
export function superseded(
  versions: readonly Pick<SinkVersion, 'version' | 'publishedAt' | 'complete'>[],
  named: Iterable<string>,
  keep: number,
): string[] {
  const spared = new Set(named);
  const key = (v: Pick<SinkVersion, 'version' | 'publishedAt'>) => `${v.publishedAt} ${v.version}`;
  return versions
    .filter(v => v.complete)
    .sort((a, b) => (key(a) < key(b) ? 1 : -1))
    .slice(Math.max(0, keep))
    .map(v => v.version)
    .filter(version => !spared.has(version));
}
