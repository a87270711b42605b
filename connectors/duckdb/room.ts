import { StageError } from '../../src/errors.js';
import { mebibytes } from '../../src/size.js';
import { reason } from './database.js';

/** The memory that a connector may use, and where DuckDB writes what does not fit into it. */
export interface Room {
  readonly memoryBytes: number;
  /** By default beside the database file. */
  readonly spills?: string | undefined;
  /** The least `memory` of the pipeline that gives the connector a room of so many bytes. */
  budgetFor?(bytes: number): number;
}

/** The room of connectors that are made outside of a pipeline. */
export const ampleRoom: Room = { memoryBytes: 2 ** 28 };

/** Every thread of DuckDB has buffers of its own: in less room than this, there is one. */
const roomOfTwo = 2 ** 27;

/** A room as limits of DuckDB. */
export const limitsOf = ({ memoryBytes, spills }: Room) => ({
  memoryLimit: `${Math.floor(memoryBytes / 1024)}KiB`,
  threads: memoryBytes < roomOfTwo ? 1 : 2,
  ...(spills === undefined ? {} : { tempDirectory: spills }),
});

/** Bytes in which DuckDB reads any CSV file on one thread: three buffers of 32,000,000 bytes, and a little (measured). */
export const roomOfCsv = 96 * 2 ** 20;
/** How DuckDB names the size of such a buffer. */
const csvBuffer = '30.5 MiB';

/** `MEMORY_BUDGET` for a query that DuckDB could not answer in `room`, with another way than more memory. */
export function doesNotFit(where: string, room: Room, error: unknown, otherWay: string): StageError {
  const csv = reason(error).includes(`block of size ${csvBuffer}`);
  const least = csv ? room.budgetFor?.(roomOfCsv) : undefined;
  const more =
    least === undefined ? 'raise `memory`' : `\`memory: ${Math.ceil(least / 2 ** 20)}MiB\` would do`;
  const smaller = `read CSV through smaller buffers, as by read_csv('…', buffer_size = 4000000)`;
  return new StageError(
    'MEMORY_BUDGET',
    `${where}: the query does not fit into the ${mebibytes(room.memoryBytes)} that it has for DuckDB (${reason(error)}); ${more}, or ${csv ? smaller : otherWay}`,
    { cause: error },
  );
}
