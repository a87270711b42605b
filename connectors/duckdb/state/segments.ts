import type { StateStore } from '../../../src/contracts/index.js';
import { StageError } from '../../../src/errors.js';
import type { SegmentFile } from '../../../src/gramian/segment.js';
import { failpoint } from '../../../src/runtime/failpoint.js';
import type { DuckDBConnection } from '../client.js';
import { all, type SerialConnection } from '../database.js';

/** The segments of a state, oldest first. */
export async function readSegments(connection: DuckDBConnection): Promise<SegmentFile[]> {
  const rows = await all(connection, 'SELECT id, file, n, nnz, bytes FROM segments ORDER BY ordinal');
  return rows.map(r => ({
    id: String(r.id),
    file: String(r.file),
    n: Number(r.n),
    nnz: Number(r.nnz),
    bytes: Number(r.bytes),
  }));
}

/** Registers a segment behind all others; part of the caller's transaction. */
export async function insertSegment(connection: DuckDBConnection, s: SegmentFile): Promise<void> {
  await connection.run(
    `INSERT INTO segments SELECT coalesce(max(ordinal) + 1, 0), ?, ?, ?, ?, ?, make_timestamp(epoch_us(now())) FROM segments`,
    [s.id, s.file, s.n, BigInt(s.nnz), BigInt(s.bytes)],
  );
}

/** The register of segment files, on the connection of the folds, which add to it. */
export function openSegments(
  folds: SerialConnection,
): Pick<StateStore, 'segments' | 'replaceSegments' | 'retired' | 'clearRetired'> {
  return {
    retired: () => folds.all('SELECT file FROM retired').then(rows => rows.map(r => String(r.file))),
    clearRetired: () => folds.run('DELETE FROM retired'),

    segments: () => folds.use(readSegments),

    replaceSegments: (old, segment) =>
      folds
        .transaction(async c => {
          for (const s of old) {
            const gone = await all(c, 'DELETE FROM segments WHERE id = ? RETURNING id', [s.id]);
            if (gone.length === 0)
              throw new StageError('INTERNAL', `segment ${s.id} has been replaced already`);
            await c.run('INSERT INTO retired VALUES (?)', [s.file]);
          }
          if (segment) await insertSegment(c, segment);
        })
        .then(() => failpoint('compact:committed')),
  };
}
