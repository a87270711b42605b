import {
  BIGINT,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBTimestampValue,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  TIMESTAMP,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api';
import type { DeadLetter, EventColumns, Position } from '../../src/connector.js';
import { failpoint } from '../../src/failpoint.js';
import { all, scalar, transaction } from './database.js';

/** Rows of a DuckDB data chunk. */
const chunkRows = 2048;
const deadTypes = [VARCHAR, VARCHAR, BIGINT, VARCHAR, VARCHAR, VARCHAR, VARCHAR, TIMESTAMP];
const inboxTypes = [BIGINT, INTEGER, BIGINT, VARCHAR, VARCHAR, INTEGER, UTINYINT, BIGINT, VARCHAR];

/** Appends rows `from … to − 1` as data chunks; part of the caller's transaction. */
async function appendRows(
  connection: DuckDBConnection,
  table: string,
  types: readonly DuckDBType[],
  from: number,
  to: number,
  row: (k: number) => readonly DuckDBValue[],
): Promise<void> {
  if (from >= to) return;
  const appender = await connection.createAppender(table);
  try {
    for (let start = from; start < to; start += chunkRows) {
      const size = Math.min(to - start, chunkRows);
      const columns = types.map(() => new Array<DuckDBValue>(size));
      for (let k = 0; k < size; k++) {
        row(start + k).forEach((value, c) => {
          columns[c]![k] = value;
        });
      }
      const chunk = DuckDBDataChunk.create(types, size);
      chunk.setColumns(columns);
      appender.appendDataChunk(chunk);
    }
  } finally {
    appender.closeSync();
  }
}

interface Channel {
  readonly id: number;
  sequence: number;
}

/** The durable queue in front of the fold. One writer: positions are cached and written with each append. */
export interface Inbox {
  positions(source: string): Promise<readonly Position[]>;
  append(
    source: string,
    events: EventColumns,
    dead: readonly DeadLetter[],
    position: Position,
  ): Promise<number>;
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

  const eventRow =
    (events: EventColumns, channel: number) =>
    (k: number): DuckDBValue[] => [
      BigInt(++seq),
      channel,
      BigInt(events.sequence[k]!),
      events.user[k]!,
      events.item[k]!,
      events.weight[k]!,
      events.op[k]!,
      BigInt(events.ts[k]!),
      events.id[k]!,
    ];

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

    async append(source, events, dead, position) {
      const name = key(source, position.partition);
      const at = new DuckDBTimestampValue(BigInt(Date.now()) * 1000n);
      const channel = channels.get(name);
      const stored = channel?.sequence ?? -1;
      if (position.sequence <= stored) return 0;
      let from = 0;
      while (from < events.length && events.sequence[from]! <= stored) from++;
      const id = channel?.id ?? channels.size;
      const before = seq;
      try {
        await transaction(connection, async () => {
          await appendRows(connection, 'inbox', inboxTypes, from, events.length, eventRow(events, id));
          const fresh = dead.filter(d => d.sequence > stored);
          await appendRows(connection, 'dead_letters', deadTypes, 0, fresh.length, k => {
            const d = fresh[k]!;
            const raw = d.raw.replaceAll('\0', '\u2400').toWellFormed();
            return [
              source,
              d.partition,
              BigInt(d.sequence),
              d.code,
              d.reason.toWellFormed(),
              d.user ?? null,
              raw,
              at,
            ];
          });
          failpoint('ingest:appended');
          const values = [BigInt(position.sequence), position.token ?? null];
          if (channel) {
            await connection.run('UPDATE positions SET sequence = ?, token = ? WHERE channel = ?', [
              ...values,
              id,
            ]);
          } else {
            const row = [id, source, position.partition, ...values];
            await connection.run('INSERT INTO positions VALUES (?, ?, ?, ?, ?)', row);
          }
        });
      } catch (error) {
        seq = before;
        throw error;
      }
      failpoint('ingest:committed');
      channels.set(name, { id, sequence: position.sequence });
      return events.length - from;
    },
  };
}
