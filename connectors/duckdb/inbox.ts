import type { DeadLetter, DecodedBatch, Position } from '../../src/contracts/index.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { appendDeadLetters, appendEvents, type Placed } from './append.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';

interface Channel {
  readonly id: number;
  sequence: number;
}

/** The durable queue in front of the fold. One writer: positions are cached and written with each append. */
export interface Inbox {
  positions(source: string): Promise<readonly Position[]>;
  append(source: string, batches: readonly DecodedBatch[]): Promise<number>;
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

/** The inbox of an open state, over a connection of its own. */
export async function openInbox(connection: DuckDBConnection): Promise<Inbox> {
  const channels = new Map<string, Channel>();
  const key = (source: string, part: string): string => JSON.stringify([source, part]);
  for (const row of await all(connection, 'SELECT channel, source, part, sequence FROM positions')) {
    channels.set(key(String(row.source), String(row.part)), {
      id: Number(row.channel),
      sequence: Number(row.sequence),
    });
  }
  let seq = Number(await scalar(connection, 'SELECT coalesce(max(seq), 0) FROM inbox'));

  return {
    async positions(source) {
      const rows = await all(connection, 'SELECT part, sequence, token FROM positions WHERE source = ?', [
        source,
      ]);
      return rows.map(r => ({
        partition: String(r.part),
        sequence: Number(r.sequence),
        token: r.token === null ? undefined : String(r.token),
      }));
    },

    async append(source, batches) {
      const placed: Placed[] = [];
      const dead: DeadLetter[] = [];
      const moved: Moved[] = [];
      let made = 0;
      for (const { events, dead: letters, position } of batches) {
        const name = key(source, position.partition);
        const channel = channels.get(name);
        const stored = channel?.sequence ?? Number.NEGATIVE_INFINITY;
        if (position.sequence <= stored) continue;
        let from = 0;
        while (from < events.length && events.sequence[from]! <= stored) from++;
        const id = channel?.id ?? channels.size + made++;
        placed.push({ events, from, channel: id });
        dead.push(...letters.filter(d => d.sequence > stored));
        moved.push({ position, name, id });
      }
      if (moved.length === 0) return 0;
      const fresh = placed.reduce((sum, { events, from }) => sum + events.length - from, 0);
      await transaction(connection, async () => {
        await appendEvents(connection, placed, seq);
        await appendDeadLetters(connection, source, dead);
        failpoint('ingest:appended');
        await movePositions(
          connection,
          moved.filter(m => channels.has(m.name)),
        );
        for (const { position, name, id } of moved) {
          if (channels.has(name)) continue;
          const row = [id, source, position.partition, BigInt(position.sequence), position.token ?? null];
          await connection.run('INSERT INTO positions VALUES (?, ?, ?, ?, ?)', row);
        }
      });
      failpoint('ingest:committed');
      seq += fresh;
      for (const { position, name, id } of moved) channels.set(name, { id, sequence: position.sequence });
      return fresh;
    },
  };
}
