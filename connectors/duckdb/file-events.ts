import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { DecodedEvents } from '../../src/contracts/index.js';
import { syncDirectory } from '../../src/matrix/safetensors-header.js';
import type { DuckDBConnection } from './client.js';
import { scalar } from './database.js';
import { eventsIn, type PartRows } from './parts.js';

/** A file that a source has written events into. It goes with the last who holds it, unless the inbox has taken it over. */
export class EventsFile {
  #holders = 1;
  #kept = false;
  constructor(readonly path: string) {}

  hold(): void {
    this.#holders++;
  }

  keep(): void {
    this.#kept = true;
  }

  release(): void {
    if (--this.#holders === 0 && !this.#kept) rmSync(this.path, { force: true });
  }
}

/** Events that SQL has decoded: those among the rows [from, to) of a file that it was sure of. */
export class FileEvents implements DecodedEvents {
  readonly system = 'duckdb';

  /**
   * `first` is the sequence number of row `from`; each row, event or not, has one more than the one before. `last` says
   * that the source needs the file no longer: the inbox may take it over.
   */
  constructor(
    readonly file: EventsFile,
    readonly from: number,
    readonly to: number,
    readonly first: number,
    readonly length: number,
    readonly last: boolean,
  ) {}

  get rows(): number {
    return this.to - this.from;
  }
}

/** Where events go. */
export interface Place {
  readonly channel: number;
  /** The number of the event before them. */
  readonly seq: number;
  /** Sequence number up to which they are stored already. */
  readonly stored: number;
}

/** Makes the file durable under its name: gigabytes, for which nothing else should wait. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  syncDirectory(dirname(path));
}

/**
 * Puts events into the inbox; part of the caller's transaction. Row k of theirs gets the number `seq + 1 + k`; rows at or
 * before the sequence number `stored` are left out. A file that its source needs no longer is registered as it is: then
 * `keep` it after the transaction. Returns how many events it added.
 */
export async function appendFile(
  connection: DuckDBConnection,
  { file, from, to, first, last }: FileEvents,
  { channel, seq, stored }: Place,
): Promise<number> {
  const sequence = first - from;
  const part: PartRows = {
    channel,
    seq: seq + 1 - from,
    sequence,
    first: Math.max(from, stored + 1 - sequence),
    below: to,
  };
  const events = eventsIn(file.path, part);
  if (!last) return Number(await scalar(connection, `INSERT INTO inbox ${events}`));
  await syncFile(file.path);
  const numbers = [part.channel, part.seq, part.sequence, part.first, part.below].map(BigInt);
  await connection.run('INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)', [basename(file.path), ...numbers]);
  return Number(await scalar(connection, `SELECT count(*) FROM (${events})`));
}
