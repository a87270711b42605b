import type { Logger, StateStore } from '../contracts/index.js';
import type { Amendment, Sink, SinkVersion } from '../contracts/sink.js';
import { live } from '../contracts/sink.js';
import { inAll } from './all-sinks.js';
import type { ListModel } from './list-maker.js';
import type { ListRequest } from './list-source.js';
import { type ListThread, startListThread } from './lists.js';

/** Users whose lists are scored and written at a time. */
const usersPerBatch = 2048;

/** Outcome of a refresh. */
export interface FreshSummary {
  /** Lists rewritten and deleted. A list counts once, even if several sinks and versions have it. */
  readonly rewritten: number;
  readonly deleted: number;
  readonly seconds: number;
}

interface RefreshOptions {
  readonly store: StateStore;
  readonly sinks: readonly Sink[];
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
  readonly modelOf: (version: string) => Promise<ListModel>;
}

/** A version of one sink that an alias names and that lags behind the state. */
interface Lagging {
  readonly sink: Sink;
  readonly held: SinkVersion;
}

const everything: ListRequest = { version: live, formats: [], ranked: true };

/** Sinks of which it was said that they take no fresh lists. */
const warned = new WeakSet<Sink>();

/**
 * Brings the lists in the sinks up to the newest histories without a new publication. Users whose histories changed
 * after a version was made are scored again with the model of that version. Their lists are overwritten one by one, in
 * each version that an alias names.
 */
export async function refresh({ store, sinks, log, signal, modelOf }: RefreshOptions): Promise<FreshSummary> {
  const started = performance.now();
  const change = await store.newestChange();
  const counts = { rewritten: 0, deleted: 0 };
  const able = sinks.filter(sink => sink.amend);
  for (const sink of sinks.filter(sink => !sink.amend && !warned.has(sink))) {
    warned.add(sink);
    log.warn({ sink: sink.name }, 'takes whole publications only: its lists are not made fresh');
  }
  const lagging = await inAll(able, 'tell its versions', async sink => {
    const complete = (await sink.versions()).filter(v => v.complete);
    const named = new Set((await sink.pointers()).values());
    return complete
      .filter(held => named.has(held.version) && (held.change ?? change) < change)
      .map((held): Lagging => ({ sink, held }));
  });
  const alike = new Map<string, Lagging[]>();
  for (const one of lagging.flat()) {
    const key = JSON.stringify([one.held.model ?? one.held.version, one.held.change]);
    alike.set(key, [...(alike.get(key) ?? []), one]);
  }
  for (const versions of alike.values()) {
    const { held } = versions[0]!;
    const lag = { store, signal, versions, since: held.change!, change };
    const done = await bringUp(lag, () => modelOf(held.model ?? held.version));
    counts.rewritten += done.rewritten;
    counts.deleted += done.gone.length;
  }
  return { ...counts, seconds: (performance.now() - started) / 1000 };
}

/** Brings versions of one model, all made at the change `since`, up to `change`. */
async function bringUp(
  lag: {
    readonly store: StateStore;
    readonly signal?: AbortSignal | undefined;
    readonly versions: readonly Lagging[];
    readonly since: number;
    readonly change: number;
  },
  modelOf: () => Promise<ListModel>,
): Promise<{ rewritten: number; gone: readonly string[] }> {
  const { versions, since, change } = lag;
  const counts = { rewritten: 0, gone: [] as string[] };
  const amend = (amendment: Amendment) =>
    inAll(versions, 'take fresh lists', ({ sink, held }) => sink.amend!(held.version, 'users', amendment));
  let thread: ListThread | undefined;
  try {
    for await (const { keys, rows, gone } of lag.store.changedUsers(since, usersPerBatch)) {
      if (keys.length > 0 && !thread) {
        thread = startListThread(lag.signal);
        const model = await modelOf();
        thread.load(model);
        await thread.open(model, everything);
      }
      const lists = thread && keys.length > 0 ? ((await thread.make('users', keys, rows)).ranked ?? []) : [];
      await amend({ lists, gone });
      counts.rewritten += lists.length;
      counts.gone.push(...gone);
    }
    await amend({ lists: [], gone: [], change });
  } finally {
    await thread?.close();
  }
  return counts;
}
