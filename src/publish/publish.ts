import type { Logger } from '../contracts/index.js';
import type { Manifest } from '../contracts/manifest.js';
import type { RankedList, Sink } from '../contracts/sink.js';
import {
  champion,
  type EncodedLists,
  type ListFormat,
  type ListKind,
  live,
  type ModelFiles,
  type Publication,
} from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { failpoint } from '../runtime/failpoint.js';
import { batchCollector } from './batch-collector.js';
import { assertRoom, chooseVersion, estimateBytes, type Named, type Sample } from './plan.js';

/** Lists of one kind, as many as are computed at a time, in the forms that the sinks take. */
export interface ListBatch {
  readonly kind: ListKind;
  readonly ids: readonly string[];
  readonly ranked?: readonly RankedList[] | undefined;
  /** By `formatName`. */
  readonly encoded?: Readonly<Record<string, Omit<EncodedLists, 'ids'>>> | undefined;
}

/** A name of each format. */
export const formatName = ({ encoding, stamped }: ListFormat): string =>
  `${encoding}${stamped ? ' stamped' : ''}`;

/** What a source of lists is asked for. */
export interface ListRequest {
  readonly version: string;
  readonly formats: readonly ListFormat[];
  /** Whether some sink takes ranked lists. */
  readonly ranked: boolean;
}

/** Where lists come from, users before items; for the same content in the same order and batches. Read once. */
export interface ListSource {
  /** Lists of each kind, at most. */
  readonly counts: Readonly<Record<ListKind, number>>;
  /** Every batch but those that end within the first `skip` lists of their kind. */
  batches(request: ListRequest, skip: Readonly<Record<ListKind, number>>): AsyncIterable<ListBatch>;
  /** The first batch, before `batches` is called with the same request. */
  sample(request: ListRequest): Promise<ListBatch>;
  close(): Promise<void>;
}

/** What to publish, and where. The sinks are connected already and stay so. */
export interface PublishOptions {
  readonly manifest: Manifest;
  /** See `contentOf`. */
  readonly content: string;
  /** The newest change of a history that the lists know. */
  readonly change: number;
  readonly lists: ListSource;
  /** The model's files, for sinks that take them. */
  readonly model?: ModelFiles | undefined;
  readonly sinks: readonly Sink[];
  /** The pointer to switch, by default the champion. */
  readonly alias?: string | undefined;
  /** Versions of earlier publications, and how this one's is added before it can be read. */
  readonly earlier?: readonly Named[] | undefined;
  readonly record?: ((version: string) => Promise<void>) | undefined;
  readonly log: Logger;
  readonly progress?: ((stage: string, part: number) => void) | undefined;
}

/** What one publication did in one sink. */
export interface SinkSummary {
  readonly name: string;
  /** Bytes that all lists were estimated to take. */
  readonly estimatedBytes: number;
  /** Lists that were stored, and those that were there already. */
  readonly written: number;
  readonly kept: number;
}

/** What one publication did. */
export interface PublishSummary {
  /** The version under which readers find the lists, and its model's. */
  readonly version: string;
  readonly model: string;
  readonly alias: string;
  /** Lists of users and of items, counted once however many sinks took them. */
  readonly users: number;
  readonly items: number;
  readonly seconds: number;
  readonly listsPerSecond: number;
  readonly sinks: readonly SinkSummary[];
}

/** A sink and how far it is. */
interface Target {
  readonly sink: Sink;
  /** What the alias named at first. */
  readonly expected: string | null;
  /** Whether it has all of the version already. */
  readonly complete: boolean;
  have: Record<ListKind, number>;
  written: number;
  kept: number;
}

/**
 * Writes one version to every sink and then switches the pointers.
 *
 * `begin` in all sinks, each batch to all before the next is asked for, `finish` in all, and only then `point`
 * in all and `prune`. So a failure before the pointers leaves each of them where it was, and no pointer ever
 * names an incomplete version. Pointers are switched only from what they named at the beginning. Publishing the same
 * again writes nothing that is there, so it is the way to recover.
 * Throws `SINK_FAILED` naming every sink that failed, `SINK_TOO_SMALL` before anything is written, or `DATA_INVALID` on
 * a malformed list; a failing `prune` is only logged, because the feed is right without it.
 */
export async function publish(options: PublishOptions): Promise<PublishSummary> {
  const { manifest, content, change, sinks, lists, log, progress, alias = champion } = options;
  const started = performance.now();
  const known = await inAll(sinks, 'tell its versions', async sink => sink.versions());
  const before = await inAll(sinks, `tell what ${alias} names`, async sink => sink.current(alias));
  const version = chooseVersion(manifest, content, known, options.earlier);
  const publishedAt = new Date().toISOString();
  const publication: Publication = {
    ...manifest,
    version,
    model: manifest.version,
    publishedAt,
    content,
    change,
  };
  const complete = known.map((versions, k) => {
    const name = sinks[k]!.inPlace ? live : version;
    return versions.find(v => v.version === name && v.complete && v.content === content)?.lists;
  });

  const total = lists.counts.users + lists.counts.items;
  const request = requestOf(version, sinks);
  const estimates = complete.every(Boolean)
    ? sinks.map(() => 0)
    : await estimated(publication, lists, request, sinks, total);
  const sizes = sinks.map((sink, k) => ({ sink: sink.name, estimatedBytes: estimates[k] }));
  log.info({ version, alias, lists: total, sizes }, 'publication begins');

  const targets = await inAll(sinks, `begin version ${version}`, async (sink, k): Promise<Target> => {
    const have = { ...(complete[k] ?? (await sink.begin(publication))) };
    const kept = have.users + have.items;
    return { sink, expected: before[k] ?? null, complete: complete[k] !== undefined, have, written: 0, kept };
  });
  const open = targets.filter(t => !t.complete);
  if (options.model) {
    const { model } = options;
    await inAll(open, 'write the model', async t => t.sink.writeModel?.(model));
  }
  const counts = open.length > 0 ? await writeAll(open, lists, request, progress) : targets[0]!.have;
  await options.record?.(version);
  await inAll(open, `finish version ${version}`, t => t.sink.finish());
  failpoint('publish:written');
  await inAll(targets, `point ${alias} at version ${version}`, t => t.sink.point(version, alias, t.expected));
  const seconds = (performance.now() - started) / 1000;
  await Promise.all(sinks.map(sink => pruneQuietly(sink, log)));

  return {
    version,
    model: manifest.version,
    alias,
    ...counts,
    seconds,
    listsPerSecond: Math.round((counts.users + counts.items) / Math.max(seconds, 1e-3)),
    sinks: targets.map(({ sink, written, kept }, k) => ({
      name: sink.name,
      estimatedBytes: estimates[k]!,
      written,
      kept,
    })),
  };
}

function requestOf(version: string, sinks: readonly Sink[]): ListRequest {
  const formats = new Map(
    sinks.flatMap(({ format }) => (format ? [[formatName(format), format] as const] : [])),
  );
  return { version, formats: [...formats.values()], ranked: sinks.some(sink => sink.format === undefined) };
}

/** Writes every batch to the sinks that lack it; returns how many lists there are. */
async function writeAll(
  targets: readonly Target[],
  lists: ListSource,
  request: ListRequest,
  progress: PublishOptions['progress'],
): Promise<Record<ListKind, number>> {
  const least = (kind: ListKind): number => Math.min(...targets.map(t => t.have[kind]));
  const skip = { users: least('users'), items: least('items') };
  const counts = { ...skip };
  const total = Math.max(1, lists.counts.users + lists.counts.items);
  const collect = batchCollector();
  for await (const batch of lists.batches(request, skip)) {
    const { kind, ids } = batch;
    for (const list of batch.ranked ?? []) checkList(kind, list);
    counts[kind] += ids.length;
    await inAll(targets, `write lists of ${kind}, version ${request.version}`, async target => {
      if (target.have[kind] >= counts[kind]) return;
      const stored = await writeBatch(target.sink, batch);
      target.have[kind] = counts[kind];
      target.written += stored;
      target.kept += ids.length - stored;
    });
    collect();
    progress?.('publish', (counts.users + counts.items) / total);
  }
  return counts;
}

function writeBatch(sink: Sink, { kind, ids, ranked, encoded }: ListBatch): Promise<number> {
  const bytes = sink.format && encoded?.[formatName(sink.format)];
  if (bytes && sink.writeEncoded) return sink.writeEncoded(kind, { ids, ...bytes });
  return sink.write(kind, ranked ?? []);
}

/** Bytes that the whole publication takes in each sink; refused where that is too much. */
async function estimated(
  publication: Publication,
  lists: ListSource,
  request: ListRequest,
  sinks: readonly Sink[],
  total: number,
): Promise<readonly number[]> {
  const batch = await lists.sample(request);
  const keyBytes = batch.ids.reduce((sum, id) => sum + Buffer.byteLength(id), 0);
  const bytes = sinks.map(({ format }, k) => {
    const valueBytes = format
      ? (batch.encoded?.[formatName(format)]?.bytes.length ?? 0)
      : Buffer.byteLength(JSON.stringify(batch.ranked ?? []));
    const sample: Sample = { lists: batch.ids.length, keyBytes, valueBytes };
    return estimateBytes(sinks[k]!, publication, sample, total);
  });
  assertRoom(sinks, bytes, total);
  return bytes;
}

/** Runs one step in all sinks and waits for all of them; their failures become one error. */
export async function inAll<S extends Sink | { readonly sink: Sink }, T>(
  sinks: readonly S[],
  what: string,
  run: (sink: S, k: number) => Promise<T>,
): Promise<T[]> {
  const outcomes = await Promise.allSettled(sinks.map(async (sink, k) => run(sink, k)));
  const name = (s: S): string => ('sink' in s ? s.sink.name : s.name);
  const failures = outcomes.flatMap((outcome, k) =>
    outcome.status === 'rejected' ? [{ name: name(sinks[k]!), reason: outcome.reason as unknown }] : [],
  );
  if (failures.length === 0) return outcomes.map(o => (o as PromiseFulfilledResult<T>).value);
  const found = failures.map(f => `${f.name}: ${message(f.reason)}`).join('; ');
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
