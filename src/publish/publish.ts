import type { Logger } from '../contracts/index.js';
import type { Manifest } from '../contracts/manifest.js';
import {
  champion,
  type ListKind,
  live,
  type ModelFiles,
  type Publication,
  type Sink,
} from '../contracts/sink.js';
import { failpoint } from '../runtime/failpoint.js';
import type { Progress } from '../runtime/task.js';
import { inAll, message } from './all-sinks.js';
import { formatName, type ListRequest, type ListSource } from './list-source.js';
import { assertRoom, chooseVersion, estimateBytes, type Named, type Sample } from './plan.js';
import { nextOrdinal } from './retention.js';
import type { VectorSource } from './vectors.js';
import { type Target, writeLists } from './write-lists.js';

/** A publication and its sinks, which are connected already and stay so. */
export interface PublishOptions {
  readonly manifest: Manifest;
  /** See `contentOf`. */
  readonly content: string;
  /** The newest change of a history that the lists take into account. */
  readonly change: number;
  readonly lists: ListSource;
  /** The model's files, for sinks that take them. */
  readonly model?: ModelFiles | undefined;
  /** The vectors of the model's items, for sinks that keep them. */
  readonly vectors?: VectorSource | undefined;
  readonly sinks: readonly Sink[];
  /** The pointer to switch, by default the champion. */
  readonly alias?: string | undefined;
  /** Versions of earlier publications, and a function that records this one before anybody can read it. */
  readonly earlier?: readonly Named[] | undefined;
  readonly record?: ((version: string) => Promise<void>) | undefined;
  readonly log: Logger;
  readonly progress?: Progress | undefined;
}

/** Outcome of a publication in one sink. */
export interface SinkSummary {
  readonly name: string;
  /** Bytes that all lists were estimated to take. */
  readonly estimatedBytes: number;
  /** Lists that were stored, and those that were there already. */
  readonly written: number;
  readonly kept: number;
}

/** Outcome of a publication. */
export interface PublishSummary {
  /** The version under which readers find the lists, and the version of the model. */
  readonly version: string;
  readonly model: string;
  readonly alias: string;
  /** Lists of users and of items. A list counts once, even if several sinks took it. */
  readonly users: number;
  readonly items: number;
  readonly seconds: number;
  readonly listsPerSecond: number;
  readonly sinks: readonly SinkSummary[];
}

/**
 * Writes one version to every sink and then switches the pointers.
 *
 * `begin` in all sinks, each batch to all of them before the next is asked for, `finish` in all, and only then `point`
 * and `prune` in all. So a failure before `point` leaves every pointer where it was, and no pointer ever names an
 * incomplete version. A pointer moves only from the version that it named at the beginning. To recover, publish the same
 * again: lists that a sink has already are not written a second time.
 * Throws `SINK_FAILED` naming every sink that failed, `SINK_TOO_SMALL` before anything is written, or `DATA_INVALID` for
 * a malformed list. A failure of `prune` is only logged, because the feed is right without it.
 */
export async function publish(options: PublishOptions): Promise<PublishSummary> {
  const { sinks, lists, log, alias = champion } = options;
  const started = performance.now();
  const plan = await planPublication(options, alias);
  const { version, model } = plan.publication;
  const sizes = sinks.map((sink, k) => ({ sink: sink.name, estimatedBytes: plan.estimates[k] }));
  const total = lists.counts.users + lists.counts.items;
  log.info({ version, alias, lists: total, sizes }, 'publication began');
  const { targets, counts } = await writeVersion(plan, options);
  await inAll(targets, `point ${alias} at version ${version}`, t => t.sink.point(version, alias, t.expected));
  const seconds = (performance.now() - started) / 1000;
  await Promise.all(sinks.map(sink => pruneQuietly(sink, log)));
  return {
    version,
    model,
    alias,
    ...counts,
    seconds,
    listsPerSecond: Math.round((counts.users + counts.items) / Math.max(seconds, 1e-3)),
    sinks: targets.map(({ sink, written, kept }, k) => ({
      name: sink.name,
      estimatedBytes: plan.estimates[k]!,
      written,
      kept,
    })),
  };
}

/** A publication before anything is written. */
interface PublicationPlan {
  readonly publication: Publication & { readonly model: string };
  readonly request: ListRequest;
  /** By sink: bytes that all lists take, the version that the alias names, and the lists of a complete version. */
  readonly estimates: readonly number[];
  readonly named: readonly (string | undefined)[];
  readonly complete: readonly (Readonly<Record<ListKind, number>> | undefined)[];
}

/** Asks all sinks what they have, chooses the version and checks that there is room for it. */
async function planPublication(
  { manifest, content, change, sinks, lists, vectors, earlier }: PublishOptions,
  alias: string,
): Promise<PublicationPlan> {
  const known = await inAll(sinks, 'tell its versions', async sink => sink.versions());
  const named = await inAll(sinks, `tell what ${alias} names`, async sink => sink.current(alias));
  const version = chooseVersion(manifest, content, known, earlier);
  const publishedAt = new Date().toISOString();
  const held = known.map((versions, k) => {
    const name = sinks[k]!.inPlace ? live : version;
    return versions.find(v => v.version === name && v.complete && v.content === content);
  });
  const complete = held.map(v => v?.lists);
  const ordinal = held.find(v => v?.ordinal !== undefined)?.ordinal ?? nextOrdinal(known.flat());
  const publication = {
    ...manifest,
    version,
    model: manifest.version,
    publishedAt,
    ordinal,
    content,
    change,
    ...(vectors && { vectors: vectors.shape }),
  };
  const request = requestOf(version, sinks);
  const estimates = complete.every(Boolean)
    ? sinks.map(() => 0)
    : await estimated(publication, lists, request, sinks);
  return { publication, request, estimates, named, complete };
}

/** Brings the whole version to every sink; no alias names it yet. */
async function writeVersion(
  { publication, request, named, complete }: PublicationPlan,
  { sinks, lists, model, vectors, progress, record }: PublishOptions,
): Promise<{ readonly targets: readonly Target[]; readonly counts: Readonly<Record<ListKind, number>> }> {
  const { version } = publication;
  const targets = await inAll(sinks, `begin version ${version}`, async (sink, k): Promise<Target> => {
    const have = { ...(complete[k] ?? (await sink.begin(forSink(sink, publication)))) };
    const kept = have.users + have.items;
    return { sink, expected: named[k] ?? null, complete: complete[k] !== undefined, have, written: 0, kept };
  });
  const open = targets.filter(t => !t.complete);
  if (model) await inAll(open, 'write the model', async t => t.sink.writeModel?.(model));
  if (vectors) await writeVectors(open, vectors);
  const counts = open.length > 0 ? await writeLists(open, lists, request, progress) : targets[0]!.have;
  await record?.(version);
  await inAll(open, `finish version ${version}`, t => t.sink.finish());
  failpoint('publish:written');
  return { targets, counts };
}

/** A publication as a sink keeps it: without vectors where it takes none. */
const forSink = (sink: Sink, publication: Publication): Publication =>
  sink.writeVectors ? publication : { ...publication, vectors: undefined };

/** Writes the vectors to the sinks that take them, each batch to all before the next is read. */
async function writeVectors(open: readonly Target[], vectors: VectorSource): Promise<void> {
  const takers = open.filter(t => t.sink.writeVectors);
  if (takers.length === 0) return;
  for (const batch of vectors.batches())
    await inAll(takers, 'write vectors', t => t.sink.writeVectors!(batch));
}

function requestOf(version: string, sinks: readonly Sink[]): ListRequest {
  const formats = new Map(
    sinks.flatMap(({ format }) => (format ? [[formatName(format), format] as const] : [])),
  );
  return { version, formats: [...formats.values()], ranked: sinks.some(sink => sink.format === undefined) };
}

/** Bytes that the publication takes in each sink. Throws `SINK_TOO_SMALL` where there is no room. */
async function estimated(
  publication: Publication,
  lists: ListSource,
  request: ListRequest,
  sinks: readonly Sink[],
): Promise<readonly number[]> {
  const total = lists.counts.users + lists.counts.items;
  const batch = await lists.sample(request);
  const keyBytes = batch.ids.reduce((sum, id) => sum + Buffer.byteLength(id), 0);
  const bytes = sinks.map(({ format }, k) => {
    const valueBytes = format
      ? (batch.encoded?.[formatName(format)]?.bytes.length ?? 0)
      : Buffer.byteLength(JSON.stringify(batch.ranked ?? []));
    const sample: Sample = { lists: batch.ids.length, keyBytes, valueBytes };
    const sink = sinks[k]!;
    return estimateBytes(sink, forSink(sink, publication), sample, total);
  });
  assertRoom(sinks, bytes, total);
  return bytes;
}

async function pruneQuietly(sink: Sink, log: Logger): Promise<void> {
  try {
    if (sink.keep !== undefined) await sink.prune?.(sink.keep);
  } catch (error) {
    log.warn({ sink: sink.name, error: message(error) }, 'superseded versions were not deleted');
  }
}
