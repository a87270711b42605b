import { renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory } from '../../src/matrix/safetensors-header.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { checkpoint } from './checkpoint.js';
import type { DuckDBConnection, DuckDBInstance } from './client.js';
import { releaseResults, SerialConnection } from './database.js';
import { copyInto } from './migrations.js';
import { madeFor } from './place.js';

/** How the file of a state is opened again. */
export interface Reopening {
  readonly path: string;
  open(): Promise<DuckDBInstance>;
  /** Removes what others than the last one opened have spilled. */
  clear(): void;
}

/** Connections of their own for ingest, folds and queries, so that a long fold does not hold up ingest. */
export class StateConnections {
  readonly ingest: SerialConnection;
  readonly folds: SerialConnection;
  readonly queries: SerialConnection;
  readonly #reopening: Reopening | undefined;
  readonly #reopened: (() => Promise<void>)[] = [];
  #database: DuckDBInstance;

  private constructor(
    database: DuckDBInstance,
    connections: readonly DuckDBConnection[],
    reopening: Reopening | undefined,
  ) {
    const [ingest, folds, queries] = connections.map(c => new SerialConnection(c));
    this.ingest = ingest!;
    this.folds = folds!;
    this.queries = queries!;
    this.#database = database;
    this.#reopening = reopening;
  }

  static async open(database: DuckDBInstance, reopening?: Reopening): Promise<StateConnections> {
    return new StateConnections(database, await connect(database), reopening);
  }

  /** A connection more. */
  connect = (): Promise<DuckDBConnection> => this.#database.connect();

  /** Has `body` run when the file was opened again. */
  onReopened(body: () => Promise<void>): void {
    this.#reopened.push(body);
  }

  /**
   * Writes the database into a new file that takes the place of the old one: what was deleted stays in the old one's free
   * pages, also after a checkpoint. The old file is closed last, so that its lock lasts until then.
   */
  rewrite = (): Promise<void> =>
    this.ingest.use(() => this.folds.use(() => this.queries.use(connection => this.#rewrite(connection))));

  async #rewrite(connection: DuckDBConnection): Promise<void> {
    if (!this.#reopening) return;
    const { path, open, clear } = this.#reopening;
    const copy = madeFor(path);
    try {
      await checkpoint(connection, path);
      await copyInto(connection, copy);
      failpoint('forget:copied');
      renameSync(copy, path);
    } finally {
      rmSync(copy, { force: true });
    }
    syncDirectory(dirname(path));
    const before = this.#database;
    this.#database = await open();
    const connections = await connect(this.#database);
    for (const [k, serial] of [this.ingest, this.folds, this.queries].entries())
      serial.switchTo(connections[k]!);
    before.closeSync();
    await releaseResults();
    clear();
    for (const body of this.#reopened) await body();
  }

  async close(): Promise<void> {
    for (const c of [this.ingest, this.folds, this.queries]) await c.close();
    this.#database.closeSync();
    await releaseResults();
  }
}

async function connect(database: DuckDBInstance): Promise<DuckDBConnection[]> {
  const connections = await Promise.all([database.connect(), database.connect(), database.connect()]);
  // Rows of the inbox are deleted soon: with a large WAL most of them are never written to the file.
  await connections[0].run("SET wal_autocheckpoint = '128MB'");
  return connections;
}
