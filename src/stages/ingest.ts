import type { DeadLetterFilter, KeptDeadLetter, Read, Source } from '../contracts/index.js';
import { StageError } from '../errors.js';
import { collectGarbage } from '../runtime/collector.js';
import { failpoint } from '../runtime/failpoint.js';
import { observed } from '../runtime/serial.js';
import { decodeEvents, totalOf } from './events.js';
import { History, historiesFirst } from './history.js';
import type { PipelineParts } from './parts.js';

/** Records that a call of `ingest` took in. */
export interface IngestSummary {
  readonly events: number;
  readonly deadLetters: number;
  /** Records, and elements of them, that mappings left out, by the condition or table that did; none without any. */
  readonly skipped?: Readonly<Record<string, number>> | undefined;
}

/** Records that one batch brought. */
export interface BatchSummary extends IngestSummary {
  /** Events, dead letters and skipped records that were read. */
  readonly read: number;
  /** Dead letters by their code. */
  readonly codes: Readonly<Record<string, number>>;
  /** Where each partition has been read to. */
  readonly positions: readonly { readonly partition: string; readonly sequence: number }[];
  /** Time that the state took to store it. */
  readonly commitSeconds: number;
}

/** Moves records from the sources into the inbox. */
export function createIngest(parts: PipelineParts) {
  /**
   * Takes in all records that `source` has now, behind the stored positions, until there is no more or `signal` aborts.
   * `heard` is called with each batch and may throw. With `idle`, a source that `waits` is kept open when there is no
   * more: `idle` is called instead. Where the source allows it, the next batch is read while one is stored.
   */
  const drain = (
    source: Source,
    signal: AbortSignal | undefined,
    heard: (batch: BatchSummary) => void | Promise<void>,
    idle?: () => void,
  ): Promise<void> => drainSource(parts, source, signal, heard, idle);

  /** Refuses more dead letters than `deadLetters.tolerance` allows among `read` records. */
  function assertTolerance(deadLetters: number, read: number): void {
    const { tolerance } = parts.options.deadLetters;
    // A share of a few records says nothing, unless the tolerance is zero.
    const tooFew = tolerance > 0 && tolerance < 1 && read < 1000;
    if (tooFew || deadLetters <= (tolerance < 1 ? tolerance * read : tolerance)) return;
    throw new StageError(
      'TOLERANCE_EXCEEDED',
      `${deadLetters} of ${read} records became dead letters, deadLetters.tolerance allows ${tolerance}`,
    );
  }

  /**
   * Takes in all records that the sources have now, or until `signal` aborts. Stops above the tolerance. The other
   * sources are read even if one cannot be; its error is thrown after them.
   */
  async function ingest(signal?: AbortSignal, progress?: (total: number) => void): Promise<IngestSummary> {
    const total = { events: 0, deadLetters: 0, read: 0 };
    let skipped: Sums | undefined;
    const failures: StageError[] = [];
    const heard = (batch: BatchSummary): void => {
      total.events += batch.events;
      total.deadLetters += batch.deadLetters;
      total.read += batch.read;
      skipped = added(skipped, Object.entries(batch.skipped ?? {}));
      progress?.(total.read);
      assertTolerance(total.deadLetters, total.read);
    };
    for (const source of historiesFirst(parts.sources)) {
      try {
        await drain(source, signal, heard);
        signal?.throwIfAborted();
      } catch (error) {
        if (!(error instanceof StageError && error.code === 'SOURCE_UNREADABLE')) throw error;
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1)
      throw new StageError('SOURCE_UNREADABLE', failures.map(f => f.message).join('\n'), { cause: failures });
    return { events: total.events, deadLetters: total.deadLetters, skipped };
  }

  return {
    drain,
    ingest,
    assertTolerance,
    retryDeadLetters: (filter: DeadLetterFilter) => retryDeadLetters(parts, filter),
  };
}

type Sums = Record<string, number>;

/** Sums by name with `more` added to them; none while there is nothing to add. */
function added(sums: Sums | undefined, more: Iterable<readonly [string, number]>): Sums | undefined {
  let all = sums;
  for (const [name, n] of more) if (n > 0) (all ??= {})[name] = (all[name] ?? 0) + n;
  return all;
}

/** Takes one read into the inbox, as of the source `name`: decode, append with the positions, acknowledge. */
async function takeIn(
  { store, weights, log }: PipelineParts,
  source: Source,
  read: Read,
  name: string,
): Promise<BatchSummary> {
  failpoint('ingest:read');
  const batches = read.batches.map(({ records, decoded, position }) => ({
    ...decodeEvents(records, weights),
    decoded,
    position,
    skipped: records.skipped,
  }));
  const dead = batches.flatMap(d => d.dead);
  if (dead.length > 0) await source.reject?.(dead);
  const started = performance.now();
  const fresh = await store.append(name, batches);
  const commitSeconds = (performance.now() - started) / 1000;
  await read.ack();
  failpoint('ingest:acknowledged');
  if (dead.length > 0) {
    const { code, reason } = dead[0]!;
    log.warn({ source: source.name, count: dead.length, code, reason }, 'records became dead letters');
  }
  let skipped: Sums | undefined;
  for (const batch of batches) skipped = added(skipped, batch.skipped ?? []);
  const passed = totalOf(skipped);
  const records = batches.reduce(
    (sum, b) => sum + b.events.length + b.dead.length + (b.decoded?.length ?? 0),
    passed,
  );
  const codes: Record<string, number> = {};
  for (const { code } of dead) codes[code] = (codes[code] ?? 0) + 1;
  const positions = batches.map(({ position: { partition, sequence } }) => ({ partition, sequence }));
  return {
    events: fresh,
    deadLetters: dead.length,
    skipped,
    read: records,
    codes,
    positions,
    commitSeconds,
  };
}

/** Dead letters that are decoded again at a time. */
const retriedAtOnce = 10_000;

/**
 * Decodes dead letters again, the newest ones of a filter, and puts those that are events now into the inbox. Returns how many
 * were decoded and how many became events.
 */
async function retryDeadLetters({ store, weights, sources }: PipelineParts, filter: DeadLetterFilter) {
  const letters = await store.deadLetters(retriedAtOnce, filter);
  const places = new Map<string, KeptDeadLetter[]>();
  for (const letter of letters) {
    const place = JSON.stringify([letter.source, letter.partition]);
    const known = places.get(place);
    if (known) known.push(letter);
    else places.set(place, [letter]);
  }
  const summary = { retried: 0, revived: 0 };
  for (const kept of places.values()) {
    const { source: name, partition } = kept[0]!;
    const named = sources.find(s => s.name === name);
    // A row of its history is decoded by whoever has that.
    const source =
      partition === named?.history?.stream ? sources.find(s => s.name === named.history!.source) : named;
    if (!source?.decodeAgain) continue;
    kept.sort((a, b) => a.sequence - b.sequence);
    const { events } = decodeEvents(await source.decodeAgain(kept), weights);
    if (events.length > 0) await store.revive(name, partition, events);
    summary.retried += kept.length;
    summary.revived += events.length;
  }
  return summary;
}

/** Records between two collections: those that grew old while they were stored would stay for long. */
const recordsBetween = 50_000;
/** A read of events that the source has decoded leaves less behind than one of records. */
const weightOf = ({ batches }: Read): number => (batches.some(b => !b.decoded) ? 1 : 0.25);

async function drainSource(
  parts: PipelineParts,
  source: Source,
  signal: AbortSignal | undefined,
  heard: (batch: BatchSummary) => void | Promise<void>,
  idle: (() => void) | undefined,
): Promise<void> {
  const { store, weights, log, sources } = parts;
  if (source.history && !(await new History(store, source).read(idle && signal))) return;
  const later = sources.find(s => s.history?.source === source.name);
  const history = later && new History(store, later);
  if (await history?.isRead()) return;
  const name = later?.name ?? source.name;
  let ahead: Promise<Read | undefined> | undefined;
  let records = 0;
  try {
    if (store.takes) source.decodeFor?.({ ...store.takes, weights });
    if (later) source.becomeHistory!(later.history!);
    await source.connect(await store.positions(name), store.id);
    while (!signal?.aborted) {
      const read = await (ahead ?? source.read(signal));
      ahead = undefined;
      for (const warning of source.warnings?.() ?? []) log.warn({ source: source.name }, warning);
      if (!read) {
        if (!idle && source.ended === false) continue;
        if (history && !signal?.aborted) await history.end(source.historyEnds!());
        if (!idle || !source.waits) return;
        idle();
        continue;
      }
      ahead = source.readsAhead ? observed(source.read(signal)) : undefined;
      const taken = await takeIn(parts, source, read, name);
      await heard(taken);
      records += taken.read * weightOf(read);
      if (records < recordsBetween) continue;
      records = 0;
      collectGarbage();
    }
  } finally {
    await ahead?.catch(() => undefined);
    await source.close();
  }
}
