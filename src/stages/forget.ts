import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ErasedIds, LeavingUser, PendingErasure, Receipt, Sink } from '../contracts/index.js';
import { StageError } from '../errors.js';
import { inAll } from '../publish/all-sinks.js';
import { failpoint } from '../runtime/failpoint.js';
import { type Answering, placeModels, remainderOf } from './leaving.js';
import type { Register } from './orphans.js';
import type { PipelineParts } from './parts.js';

/** The parts of the pipeline that an erasure reaches. */
interface Reach {
  readonly gramian: {
    register(retired: ReadonlySet<string>): Promise<Register>;
  };
  readonly models: Answering;
  readonly withSinks: <T>(body: (sinks: readonly Sink[]) => Promise<T>) => Promise<T>;
}

const outside = [
  'backups and copies of the state, the sources, and logs are not reached',
  'readers of the sinks may have copies of their own',
];

/** Erases users from the state and from all sinks. */
export function createForgetting(parts: PipelineParts, reach: Reach) {
  const { store, log } = parts;

  /**
   * Erases a user from everything in reach; returns the receipt. Models keep what they have learned until the next fit.
   * An erasure that fails, or is cut off, goes on at the next start or call.
   */
  async function forget(user: string, signal?: AbortSignal): Promise<Receipt> {
    const hash = await store.beginErasure(user);
    failpoint('forget:begun');
    let receipt: Receipt | undefined;
    for (const pending of await store.pendingErasures()) {
      const made = await settle(parts, reach, pending, signal);
      if (pending.hash === hash) receipt = made;
    }
    return receipt!;
  }

  /** Goes on with erasures that were cut off. One that fails, as a sink does, is tried again at the next start. */
  async function resumeErasures(): Promise<void> {
    await placeModels(parts);
    for (const pending of await store.pendingErasures()) {
      try {
        await settle(parts, reach, pending);
        log.info({ hash: pending.hash }, 'the erasure of a user, which was cut off, is done');
      } catch (error) {
        if (!(error instanceof StageError)) throw error;
        const waits = error.code === 'SINK_FAILED' ? 'waits for a sink' : 'cannot go on';
        log.warn({ err: error.message }, `the erasure of a user ${waits}`);
      }
    }
  }

  return { forget, resumeErasures, receipts: (user: string) => store.receipts(user) };
}

/** Brings an erasure to its end, from wherever it was cut off. */
async function settle(
  parts: PipelineParts,
  reach: Reach,
  { hash, askedAt, user, erased }: PendingErasure,
  signal?: AbortSignal,
): Promise<Receipt | undefined> {
  const { store } = parts;
  if (user === undefined) {
    await store.rewrite();
    return undefined;
  }
  const remainder = (leaving: LeavingUser) => remainderOf(parts, leaving, signal);
  const { rows, items } = await reach.models.renumbered(async () => {
    const made = erased ?? (await store.eraseUser(hash, remainder, (await store.gramian())?.maxHistory));
    await placeModels(parts);
    return made;
  });
  const files = await removeFiles(parts, reach);
  failpoint('forget:files-removed');
  const forgotten = await forgetInSinks(parts, reach.withSinks, { users: [user], items });
  failpoint('forget:sinks-done');
  const known = rows.interactions > 0 ? await store.models() : [];
  const receipt: Receipt = {
    hash,
    askedAt: new Date(askedAt).toISOString(),
    finishedAt: new Date().toISOString(),
    ...rows,
    files,
    sinks: forgotten.map(({ remains: _, ...counts }) => counts),
    influenced: known.map(m => m.version),
    remains: [...forgotten.flatMap(f => f.remains), ...outside],
  };
  await store.finishErasure(receipt);
  return receipt;
}

/** Removes files that hold her history or id and that nothing names any more; returns how many. */
async function removeFiles({ directory, store, log }: PipelineParts, { gramian }: Reach): Promise<number> {
  const { directory: segments, whole, unfinished, registered } = await gramian.register(new Set());
  const old = namesIn(segments).filter(
    name => unfinished.test(name) || (whole.test(name) && !registered.has(name)),
  );
  const copies = namesIn(directory).filter(name => name.startsWith('state.duckdb.format-'));
  const aside = namesIn(join(directory, 'aside'));
  for (const name of old) rmSync(join(segments, name));
  for (const name of copies) rmSync(join(directory, name));
  rmSync(join(directory, 'aside'), { recursive: true, force: true });
  await store.clearRetired();
  if (aside.length > 0) log.warn({ files: aside }, 'files that had been set aside were removed');
  return old.length + copies.length + aside.length;
}

/** Takes ids out of every sink. */
export async function forgetInSinks({ sinks }: PipelineParts, withSinks: Reach['withSinks'], ids: ErasedIds) {
  if (sinks.length === 0) return [];
  return withSinks(all =>
    inAll(all, 'forget', async sink => {
      const none = { deleted: 0, rewritten: 0, remains: [`sink ${sink.name} cannot forget single users`] };
      return { name: sink.name, ...((await sink.forget?.(ids)) ?? none) };
    }),
  );
}

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);
