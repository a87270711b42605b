import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { all, literal } from './database.js';
import { columnName, eventColumns, sureColumn } from './judge.js';

/** Rows of a file of events, and the numbers of its row 0; those of the others grow with it. */
export interface PartRows {
  readonly channel: number;
  readonly seq: number;
  readonly sequence: number;
  /** Rows [first, below) are meant. */
  readonly first: number;
  readonly below: number;
}

/** A file that belongs to the inbox. */
interface Part extends PartRows {
  readonly file: string;
}

/** DuckDB takes these characters of a path for patterns. */
const pattern = /[*?[]/g;

/** A file of events as a relation; its rows have a number. */
export const fileRows = (path: string): string =>
  `read_parquet(${literal(path.replace(pattern, '[$&]'))}, file_row_number = true)`;

/** The events among some rows of a file, in the columns of the inbox. */
export const eventsIn = (path: string, { channel, seq, sequence, first, below }: PartRows): string =>
  `SELECT ${seq} + file_row_number AS seq, ${channel}::INTEGER AS channel, ${sequence} + file_row_number AS sequence,
     ${eventColumns.map((name, c) => `${columnName(c)} AS "${name}"`).join()}
   FROM ${fileRows(path)} WHERE ${sureColumn} AND file_row_number >= ${first} AND file_row_number < ${below}`;

/** The number of the newest event that waits; NULL where none does. */
export const newestSeq = 'greatest((SELECT max(seq) FROM inbox), (SELECT max(seq + below - 1) FROM parts))';

/**
 * Files of events that belong to the inbox, beside its table: history lies there as its source wrote it, until a fold has
 * read it. Those that wait are registered in the table `parts`; rows of it are added by ingest, and changed by folds alone.
 */
export class Parts {
  constructor(readonly directory: string) {}

  async #registered(connection: DuckDBConnection): Promise<Part[]> {
    const rows = await all(connection, 'SELECT * FROM parts ORDER BY seq');
    return rows.map(({ file, ...numbers }) => {
      const [channel, seq, sequence, first, below] = Object.values(numbers).map(Number);
      return {
        file: String(file),
        channel: channel!,
        seq: seq!,
        sequence: sequence!,
        first: first!,
        below: below!,
      };
    });
  }

  /**
   * All events that wait, as a relation; with `limit`, enough of them to have the first `limit`.
   *
   * @throws StageError `STATE_CORRUPT` when a file is missing.
   */
  async waiting(connection: DuckDBConnection, limit = Number.POSITIVE_INFINITY): Promise<string> {
    const parts = await this.#registered(connection);
    if (parts.length === 0) return 'inbox';
    const some = Number.isFinite(limit) ? ` LIMIT ${limit}` : '';
    const relations = parts.map(part => {
      const path = join(this.directory, part.file);
      if (existsSync(path)) return `(${eventsIn(path, part)}${some})`;
      throw new StageError(
        'STATE_CORRUPT',
        `${path}: expected a file of events that wait for a fold, found none; put back the whole state directory, not a part of it`,
      );
    });
    return `(SELECT * FROM inbox UNION ALL ${relations.join(' UNION ALL ')})`;
  }

  /** Takes the events up to the number `cut` out of the inbox; part of the caller's transaction, after which `remove` the files that it returns. */
  async take(connection: DuckDBConnection, cut: string): Promise<readonly string[]> {
    await connection.run(`DELETE FROM inbox WHERE seq <= ${cut}`);
    const done = await all(connection, `DELETE FROM parts WHERE seq + below - 1 <= ${cut} RETURNING file`);
    await connection.run(`UPDATE parts SET first = ${cut} + 1 - seq WHERE seq + first <= ${cut}`);
    return done.map(r => String(r.file));
  }

  /** Puts the events of the files into the table, where each can be changed; otherwise as `take`. */
  async settle(connection: DuckDBConnection): Promise<readonly string[]> {
    const parts = await this.#registered(connection);
    for (const part of parts)
      await connection.run(`INSERT INTO inbox ${eventsIn(join(this.directory, part.file), part)}`);
    await connection.run('DELETE FROM parts');
    return parts.map(({ file }) => file);
  }

  remove(files: readonly string[]): void {
    for (const file of files) rmSync(join(this.directory, file), { force: true });
  }

  /** Removes files that are not registered: what a process that died has left. No source may be reading. */
  async tidy(connection: DuckDBConnection): Promise<void> {
    if (!existsSync(this.directory)) return;
    const registered = new Set((await this.#registered(connection)).map(({ file }) => file));
    this.remove(readdirSync(this.directory).filter(f => f.endsWith('.parquet') && !registered.has(f)));
  }
}
