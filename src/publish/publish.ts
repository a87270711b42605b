import type { ListKind, Logger, RankedList, Sink } from '../connector.js';
import { StageError } from '../errors.js';
import { failpoint } from '../failpoint.js';
import type { Manifest } from '../model/version.js';

/** Lists of one kind, as many as are computed at a time. */
export interface ListBatch {
  readonly kind: ListKind;
  readonly lists: readonly RankedList[];
}

/** What to publish, and where. The sinks are connected already and stay so. */
export interface PublishOptions {
  readonly manifest: Manifest;
  readonly lists: AsyncIterable<ListBatch>;
  readonly sinks: readonly Sink[];
  readonly log: Logger;
}

/** What one publication did. */
export interface PublishSummary {
  readonly version: string;
  /** Lists of users and of items, counted once however many sinks took them. */
  readonly users: number;
  readonly items: number;
  readonly seconds: number;
  readonly listsPerSecond: number;
}

/**
 * Writes one version to every sink and then switches the pointers.
 *
 * `begin` in all sinks, each batch to all before the next is asked for, `finish` in all, and only then `point`
 * in all and `prune`. So a failure before the pointers leaves each of them where it was, and no pointer ever
 * names an incomplete version. Publishing the same version again is safe, and is the way to recover.
 * Throws `SINK_FAILED` naming every sink that failed, or `DATA_INVALID` on a malformed list; a failing `prune`
 * is only logged, because the feed is right without it.
 */
export async function publish(options: PublishOptions): Promise<PublishSummary> {
  const { manifest, sinks, log } = options;
  const { version } = manifest;
  const started = performance.now();
  const counts = { users: 0, items: 0 };

  await inAll(sinks, `begin version ${version}`, sink => sink.begin(manifest));
  for await (const { kind, lists } of options.lists) {
    for (const list of lists) checkList(kind, list);
    await inAll(sinks, `write lists of ${kind}, version ${version}`, sink => sink.write(kind, lists));
    counts[kind] += lists.length;
  }
  await inAll(sinks, `finish version ${version}`, sink => sink.finish());
  failpoint('publish:written');
  await inAll(sinks, `point at version ${version}`, sink => sink.point(version));
  await Promise.all(sinks.map(sink => pruneQuietly(sink, log)));

  const seconds = (performance.now() - started) / 1000;
  const summary = {
    version,
    ...counts,
    seconds,
    listsPerSecond: Math.round((counts.users + counts.items) / Math.max(seconds, 1e-3)),
  };
  log.info({ ...summary, sinks: sinks.map(sink => sink.name) }, 'published');
  return summary;
}

/** Runs one step in all sinks and waits for all of them; their failures become one error. */
async function inAll(
  sinks: readonly Sink[],
  what: string,
  run: (sink: Sink) => Promise<void>,
): Promise<void> {
  const outcomes = await Promise.allSettled(sinks.map(async sink => run(sink)));
  const failures = outcomes.flatMap((outcome, k) =>
    outcome.status === 'rejected' ? [{ name: sinks[k]!.name, reason: outcome.reason as unknown }] : [],
  );
  if (failures.length === 0) return;
  const found = failures.map(({ name, reason }) => `${name}: ${message(reason)}`).join('; ');
  throw new StageError('SINK_FAILED', `expected every sink to ${what}, found ${found}`, {
    cause: failures[0]!.reason,
  });
}

async function pruneQuietly(sink: Sink, log: Logger): Promise<void> {
  try {
    if (sink.keep !== undefined) await sink.prune?.(sink.keep);
  } catch (error) {
    log.warn({ sink: sink.name, error: message(error) }, 'superseded versions were not deleted');
  }
}

/** A list pairs each item with a finite score; a sink could not store anything else faithfully. */
function checkList(kind: ListKind, { id, items, scores }: RankedList): void {
  let k = 0;
  while (k < scores.length && Number.isFinite(scores[k])) k++;
  if (k === items.length && k === scores.length) return;
  throw new StageError(
    'DATA_INVALID',
    `expected a finite score for each of ${items.length} items, found ${k === scores.length ? `${k} scores` : `${scores[k]} at rank ${k + 1}`}, where the list of ${id} in ${kind}`,
  );
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
