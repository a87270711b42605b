import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ListKind, RankedList } from '../../src/contracts/sink.js';
import type { Draft } from '../../src/publish/list-store.js';
import { leaseLost, type StoredPublication } from '../../src/publish/sink-steps.js';
import type { DuckDBConnection, DuckDBInstance } from './client.js';
import { openDatabase } from './database.js';
import { appendLists, listColumns } from './list-rows.js';
import { limitsOf, type Room } from './room.js';

/** Puts all `rows` rows of a closed scratch file into the database, with their manifest. */
type TakeOver = (scratch: string, manifest: StoredPublication, rows: number) => Promise<void>;

/** Deletes the files beside `database` in which rows of other attempts waited: their names begin with `scratch`. */
export function clearScratch(database: string, scratch: string): void {
  const directory = dirname(scratch);
  const [own, earlier] = [basename(scratch), `${basename(database)}.writing`];
  for (const file of readdirSync(directory))
    if (file.startsWith(own) || file === earlier || file === `${earlier}.wal`)
      rmSync(join(directory, file), { recursive: true, force: true });
}

/** Begins a draft whose rows wait in the file `scratch`, table `lists`, so that the database is free meanwhile. */
export async function beginDraft(
  scratch: string,
  room: Room,
  takeOver: TakeOver,
): Promise<Draft<readonly RankedList[]>> {
  const instance = await openDatabase(scratch, { ...limitsOf(room), threads: 1 });
  const connection = await instance.connect();
  await connection.run(`CREATE TABLE lists (${listColumns})`);
  return new ScratchDraft(scratch, takeOver, instance, connection);
}

/** Owns the file: it is open while rows come, closed before they are taken over, and deleted in the end. */
class ScratchDraft implements Draft<readonly RankedList[]> {
  readonly lists = { users: 0, items: 0 };
  readonly #scratch: string;
  readonly #takeOver: TakeOver;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  #rows = 0;
  #open = true;

  constructor(scratch: string, takeOver: TakeOver, instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#scratch = scratch;
    this.#takeOver = takeOver;
    this.#instance = instance;
    this.#connection = connection;
  }

  async put(kind: ListKind, lists: readonly RankedList[]): Promise<number> {
    this.#rows += await appendLists(this.#connection, 'lists', kind, lists);
    return lists.length;
  }

  async complete(manifest: StoredPublication): Promise<void> {
    this.#close();
    // Whoever took the lease has deleted it.
    if (!existsSync(this.#scratch)) throw leaseLost();
    await this.#takeOver(this.#scratch, manifest, this.#rows);
    await this.abandon();
  }

  async abandon(): Promise<void> {
    this.#close();
    for (const suffix of ['', '.wal', '.tmp'])
      rmSync(this.#scratch + suffix, { recursive: true, force: true });
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}
