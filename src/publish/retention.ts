/** A complete version in a sink and when its model was made (ISO 8601, UTC). */
export interface FinishedVersion {
  readonly version: string;
  readonly createdAt: string;
}

/** Versions to delete: all of `finished` but `current` and the `keep` newest by the time their model was made. */
export function superseded(
  finished: readonly FinishedVersion[],
  current: string | undefined,
  keep: number,
): string[] {
  const key = (v: FinishedVersion) => `${v.createdAt} ${v.version}`;
  return [...finished]
    .sort((a, b) => (key(a) < key(b) ? 1 : -1))
    .slice(Math.max(0, keep))
    .map(v => v.version)
    .filter(version => version !== current);
}
