import { open, type RootDatabase } from 'lmdb';
import type { Access } from '../../src/publish/list-store.js';
import { Refusal, type StoredPublication } from '../../src/publish/sink-steps.js';
import { SerialQueue } from '../../src/runtime/serial.js';
import type { LmdbOptions } from './options.js';
import { rewriteEnvironment } from './rewrite.js';
import { fileOf, noteSound } from './sound.js';

/** Who holds the lease. */
export interface Lease {
  /** The holder. */
  readonly owner: string;
  /** Epoch ms. */
  readonly until: number;
}

/** Of a version's mark and the progress of one that is not complete, of the lease, of a pointer. */
type Value = StoredPublication | Lease | string;

/** Transactions under way, and how `console.error` was before them. */
const underWay = { count: 0, said: console.error };

/** Runs `body` without the stacks that the client prints of commits which fail: it rejects them too. */
async function unprinted<T>(body: () => Promise<T>): Promise<T> {
  if (underWay.count++ === 0) {
    const said = console.error;
    underWay.said = said;
    console.error = (...given: unknown[]) => {
      const [error] = given;
      if (!(error instanceof Error && /[/\\]lmdb[/\\]/.test(error.stack ?? ''))) said(...given);
    };
  }
  try {
    return await body();
  } finally {
    if (--underWay.count === 0) console.error = underWay.said;
  }
}

/** An open LMDB environment. `db` is another object after it was rewritten: ask for it each time. */
export class Environment {
  #db: RootDatabase<Value, Uint8Array>;
  readonly #open: () => RootDatabase<Value, Uint8Array>;
  readonly path: string;
  readonly #access: Access;
  readonly #turns = new SerialQueue();

  constructor({ encoding, path }: LmdbOptions, access: Access = 'write') {
    // msgpackr's records are an extension of its own: plain maps are what other readers understand.
    // With eventTurnBatching, the client makes a promise of its own for each commit, and nobody catches its rejection.
    const settings = {
      encoding,
      keyEncoding: 'binary',
      useRecords: false,
      eventTurnBatching: false,
      readOnly: access === 'read',
    } as const;
    this.#open = () => open<Value, Uint8Array>(path, settings);
    this.#db = this.#open();
    this.path = path;
    this.#access = access;
  }

  get db(): RootDatabase<Value, Uint8Array> {
    return this.#db;
  }

  /** The environment's file. */
  get file(): string {
    return fileOf(this.path);
  }

  /** Beginning of the names of files beside the environment's. */
  get scratch(): string {
    return `${this.file}.lists`;
  }

  /**
   * Runs `body` in one transaction, alone among all processes, and throws what it returns if that is a refusal. The
   * client reports a commit that failed by two promises, of which only one is awaited here.
   */
  change<T>(body: () => T | Refusal): Promise<T> {
    return this.#turns.add(() => this.#transact(body));
  }

  async #transact<T>(body: () => T | Refusal): Promise<T> {
    let result: T | Refusal;
    try {
      result = await unprinted(() => this.#db.transaction(body));
    } catch (error) {
      const { commitError } = error as { commitError?: Promise<unknown> };
      if (commitError === undefined) throw error;
      commitError.catch(() => undefined);
      throw new Refusal('the disk took nothing of what was written; it may be full');
    }
    if (result instanceof Refusal) throw result;
    return result;
  }

  /**
   * Writes what there is into a new file: deleted keys stay in free pages and between pages. Not while another process
   * reads, because it would never see the new file; returns what remains then.
   */
  async leaveFreePages(): Promise<string[]> {
    this.#db.readerCheck();
    const others = [...this.#db.readerList().matchAll(/^ *(\d+) /gm)].map(m => Number(m[1]));
    const pids = [...new Set(others)].filter(pid => pid !== process.pid);
    if (pids.length > 0)
      return [
        `free pages of ${this.file} may have the id, because processes read it (${pids.join(', ')}): forget again when they have closed it`,
      ];
    await this.#db.flushed;
    await rewriteEnvironment(this.#db, this.path);
    this.#db = this.#open();
    return [];
  }

  async close(): Promise<void> {
    await this.#db.close();
    if (this.#access === 'write') noteSound(this.path);
  }
}
