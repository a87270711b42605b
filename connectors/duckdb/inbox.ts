import type {
  DeadLetter,
  DecodedBatch,
  DecodedEvents,
  EventColumns,
  Position,
} from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { appendDeadLetters, appendEvents, appendMarks, type Placed } from './append.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';
import { appendFile, FileEvents } from './file-events.js';
import { newestSeq } from './parts.js';
import { countSkipped } from './skipped.js';

interface Channel {
  readonly id: number;
  readonly sequence: number;
  /** Whether there are marks beside the position. */
  readonly marked: boolean;
}

/** A position that a read has moved, by the name and number of its channel. */
interface Moved {
  readonly position: Position;
  readonly name: string;
  readonly id: number;
}

/** Moves known positions, all in one statement. */
async function movePositions(connection: DuckDBConnection, moved: readonly Moved[]): Promise<void> {
  if (moved.length === 0) return;
  const rows = moved.map(({ id, position }, k) => `(${id}, ${position.sequence}, $${k + 1}::VARCHAR)`);
  await connection.run(
    `UPDATE positions SET sequence = moved.sequence, token = moved.token
     FROM (VALUES ${rows.join()}) moved(channel, sequence, token) WHERE positions.channel = moved.channel`,
    moved.map(({ position }) => position.token ?? null),
  );
}

/** Adds the new ones of the marks beside a position, or removes those there are. */
async function keepMarks(
  connection: DuckDBConnection,
  channel: number,
  taken: Position['taken'],
  marked: boolean,
): Promise<void> {
  if (marked && !taken?.stored) await connection.run('DELETE FROM marks WHERE channel = ?', [channel]);
  if (taken) await appendMarks(connection, channel, taken.marks.subarray(taken.stored));
}

async function readMarks(connection: DuckDBConnection, channel: number): Promise<BigUint64Array> {
  const reader = await connection.runAndReadAll('SELECT mark FROM marks WHERE channel = ?', [channel]);
  return BigUint64Array.from((reader.getColumnsJS()[0] ?? []) as bigint[]);
}

function fromFile(decoded: DecodedEvents | undefined): FileEvents | undefined {
  if (decoded === undefined || decoded instanceof FileEvents) return decoded;
  throw new StageError('INTERNAL', `inbox: expected events of duckdb, found events of ${decoded.system}`);
}

const channelName = (source: string, part: string): string => JSON.stringify([source, part]);

/**
 * The durable queue in front of the fold, over a connection of its own. It is the only writer: `#channels` holds the
 * stored position of every partition, `#seq` the number of the newest event, and both move after a commit.
 */
export class Inbox {
  readonly #connection: DuckDBConnection;
  readonly #channels: Map<string, Channel>;
  #seq: number;

  private constructor(connection: DuckDBConnection, channels: Map<string, Channel>, seq: number) {
    this.#connection = connection;
    this.#channels = channels;
    this.#seq = seq;
  }

  static async open(connection: DuckDBConnection): Promise<Inbox> {
    const marked = 'channel IN (SELECT channel FROM marks) AS marked';
    const rows = await all(connection, `SELECT channel, source, part, sequence, ${marked} FROM positions`);
    const channels = rows.map((r): [string, Channel] => [
      channelName(String(r.source), String(r.part)),
      { id: Number(r.channel), sequence: Number(r.sequence), marked: r.marked === true },
    ]);
    const seq = Number(await scalar(connection, `SELECT coalesce(${newestSeq}, 0)`));
    return new Inbox(connection, new Map(channels), seq);
  }

  /** The stored positions of a source. */
  async positions(source: string): Promise<readonly Position[]> {
    const sql = 'SELECT part, sequence, token FROM positions WHERE source = ?';
    const rows = await all(this.#connection, sql, [source]);
    return Promise.all(
      rows.map(async r => {
        const partition = String(r.part);
        const { id, marked } = this.#channels.get(channelName(source, partition))!;
        const taken = marked ? { marks: await readMarks(this.#connection, id), stored: 0 } : undefined;
        const token = r.token === null ? undefined : String(r.token);
        return { partition, sequence: Number(r.sequence), token, taken };
      }),
    );
  }

  /** Appends what lies behind the stored positions and moves them, in one transaction; returns how many events it added. */
  async append(source: string, batches: readonly DecodedBatch[]): Promise<number> {
    const { placed, dead, moved, skipped, seq } = this.#behindPositions(source, batches);
    if (moved.length === 0) return 0;
    let fresh = placed.reduce((sum, { events, from }) => sum + events.length - from, 0);
    await transaction(this.#connection, async () => {
      await appendEvents(this.#connection, placed);
      for (const { decoded, ...place } of placed)
        if (decoded) fresh += await appendFile(this.#connection, decoded, place);
      await appendDeadLetters(this.#connection, source, dead);
      await countSkipped(this.#connection, source, skipped);
      failpoint('ingest:appended');
      await movePositions(
        this.#connection,
        moved.filter(m => this.#channels.has(m.name)),
      );
      for (const { position, name, id } of moved) {
        if (this.#channels.has(name)) continue;
        const row = [id, source, position.partition, BigInt(position.sequence), position.token ?? null];
        await this.#connection.run('INSERT INTO positions VALUES (?, ?, ?, ?, ?)', row);
      }
      for (const { position, name, id } of moved)
        await keepMarks(this.#connection, id, position.taken, this.#channels.get(name)?.marked ?? false);
    });
    for (const { decoded } of placed) if (decoded?.last) decoded.file.keep();
    failpoint('ingest:committed');
    this.#seq = seq;
    for (const { position, name, id } of moved)
      this.#channels.set(name, { id, sequence: position.sequence, marked: position.taken !== undefined });
    return fresh;
  }

  /** Appends events in the place of their dead letters, behind all others; positions stay. */
  async revive(source: string, partition: string, events: EventColumns): Promise<void> {
    const channel = this.#channels.get(channelName(source, partition));
    if (!channel)
      throw new StageError('INTERNAL', `source ${source}: expected a position of ${partition}, found none`);
    const place = { channel: channel.id, seq: this.#seq, stored: Number.NEGATIVE_INFINITY };
    await transaction(this.#connection, async () => {
      await appendEvents(this.#connection, [{ events, from: 0, ...place }]);
      await this.#connection.run(
        `DELETE FROM dead_letters WHERE source = ? AND part = ? AND sequence IN (${events.sequence.subarray(0, events.length).join()})`,
        [source, partition],
      );
    });
    this.#seq += events.length;
  }

  /** The part of `batches` that was not taken before: events, dead letters and moved positions. */
  #behindPositions(source: string, batches: readonly DecodedBatch[]) {
    const placed: Placed[] = [];
    const dead: DeadLetter[] = [];
    const moved: Moved[] = [];
    const skipped = new Map<string, number>();
    let made = 0;
    let seq = this.#seq;
    for (const { events, dead: letters, decoded, position, skipped: passed } of batches) {
      const name = channelName(source, position.partition);
      const channel = this.#channels.get(name);
      const stored = channel?.sequence ?? Number.NEGATIVE_INFINITY;
      if (position.sequence <= stored) continue;
      let from = 0;
      while (from < events.length && events.sequence[from]! <= stored) from++;
      const id = channel?.id ?? this.#channels.size + made++;
      const file = fromFile(decoded);
      placed.push({ events, from, decoded: file, channel: id, seq, stored });
      seq += file ? file.rows : events.length - from;
      for (const letter of letters) if (letter.sequence > stored) dead.push(letter);
      moved.push({ position, name, id });
      for (const [reason, n] of passed ?? []) if (n > 0) skipped.set(reason, (skipped.get(reason) ?? 0) + n);
    }
    return { placed, dead, moved, skipped, seq };
  }
}
