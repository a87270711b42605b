import type { Sink, SinkVersion } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { inAll } from './all-sinks.js';
import { newestFirst } from './retention.js';

/** Outcome of a rollback. */
export interface RollbackSummary {
  readonly alias: string;
  /** The version that the alias named before, and the one that it names now. */
  readonly from: string;
  readonly version: string;
  /** The model of that version. */
  readonly model: string;
}

/**
 * Switches `alias` in every sink to `to`, or to the newest complete version that was published before the present one.
 * Lists stay as they are. All sinks are asked first, and none is switched unless all of them can be.
 * Throws `VERSION_UNKNOWN` unless every sink has that version.
 */
export async function rollBack(sinks: readonly Sink[], alias: string, to?: string): Promise<RollbackSummary> {
  const fixed = sinks.find(sink => sink.inPlace);
  if (fixed)
    throw new StageError(
      'VERSION_UNKNOWN',
      `sink ${fixed.name}: expected earlier versions, found lists that are overwritten in place`,
    );
  const named = await inAll(sinks, `tell what ${alias} names`, sink => sink.current(alias));
  const versions = await inAll(sinks, 'tell its versions', sink => sink.versions());
  const from = named.find(version => version !== undefined);
  if (from === undefined)
    throw new StageError(
      'VERSION_UNKNOWN',
      `alias ${alias}: expected a version to roll back from, found none`,
    );
  const common = (versions[0] ?? []).filter(v =>
    versions.every(all => all.some(o => o.version === v.version && o.complete)),
  );
  const target = to === undefined ? before(common, from) : common.find(v => v.version === to);
  if (!target) {
    const known = common.map(v => v.version).join(', ') || 'none';
    const wanted = to === undefined ? `a version published before ${from}` : `version ${to}`;
    throw new StageError('VERSION_UNKNOWN', `expected ${wanted} in every sink, found ${known}`);
  }
  const { version } = target;
  await inAll(sinks, `point ${alias} at version ${version}`, (sink, k) =>
    named[k] === version ? Promise.resolve() : sink.point(version, alias, named[k] ?? null),
  );
  return { alias, from, version, model: target.model ?? version };
}

/** The newest of `versions` that was published before `from`. */
function before(versions: readonly SinkVersion[], from: string): SinkVersion | undefined {
  const sorted = versions.toSorted(newestFirst);
  const at = sorted.findIndex(v => v.version === from);
  return at < 0 ? undefined : sorted[at + 1];
}
