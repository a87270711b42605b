import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { all, openDatabase } from '../../connectors/duckdb/database.js';
import { createPipeline } from '../../jobs/index.js';
import { type BenchOptions, median } from './environment.js';

const events = 1000;
const items = 100_000;

/** A pipeline whose state has `rows` interactions of skewed users and items, in the order in which they came. */
async function stateOf(directory: string, rows: number) {
  const options = { state: directory, sources: [], gramian: { mode: 'implicit' as const } };
  await (await createPipeline(options)).close();
  const database = await openDatabase(join(directory, 'state.duckdb'), {
    memoryLimit: '2GB',
    tempDirectory: join(directory, 'tmp'),
  });
  const connection = await database.connect();
  const users = Math.ceil(rows / 20);
  for (const sql of [
    'BEGIN',
    `INSERT INTO users SELECT range, 'user-' || range FROM range(${users})`,
    `INSERT INTO items SELECT range, 'item-' || range FROM range(${items})`,
    `INSERT INTO interactions SELECT DISTINCT ON ("user", item) * FROM (
       SELECT (${users} * (hash(range)::DOUBLE / 2.0 ** 64) ** 1.5)::INTEGER % ${users} AS "user",
         (${items} * (hash(range + 0.5)::DOUBLE / 2.0 ** 64) ** 2)::INTEGER % ${items} AS item, false, 1, range, 0, range FROM range(${rows}))`,
    `INSERT INTO folded VALUES (${rows}, 0)`,
    `INSERT INTO positions VALUES (0, 'made', 'rows', ${rows}, NULL)`,
    'COMMIT',
    'CHECKPOINT',
  ])
    await connection.run(sql);
  // The reference: one look at the users of all rows.
  const started = performance.now();
  await all(connection, 'SELECT count(*) FROM interactions WHERE "user" % 1000 = 7');
  const scanSeconds = (performance.now() - started) / 1000;
  connection.closeSync();
  database.closeSync();
  return { pipeline: await createPipeline(options), users, scanSeconds };
}

/** Seconds of folds of 1,000 events in an open pipeline, once its lookup files are made. */
async function measure(rows: number, runs: number) {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-fold-'));
  try {
    const { pipeline, users, scanSeconds } = await stateOf(directory, rows);
    const seconds: number[] = [];
    let files = 0;
    // The first folds make the lookup files, a range of users each, and take longer.
    const longest = 100 + rows / 2e5;
    for (let run = 0, quick = 0; quick < runs && run < longest; run++) {
      const k = [...Array(events).keys()];
      const user = k.map(x => `user-${(x * 7919 + run * 104_729) % Math.floor(users * 1.01)}`);
      const sequence = Float64Array.from(k, x => rows + 1 + run * events + x);
      await pipeline.parts.store.append('made', [
        {
          events: {
            length: events,
            user,
            item: k.map(x => `item-${(x * x + run) % (items + 10)}`),
            weight: new Int32Array(events).fill(1),
            op: new Uint8Array(events),
            ts: sequence,
            id: k.map(() => null),
            sequence,
          },
          dead: [],
          position: { partition: 'rows', sequence: sequence.at(-1)! },
        },
      ]);
      const started = performance.now();
      await pipeline.fold();
      seconds.push((performance.now() - started) / 1000);
      quick = readdirSync(join(directory, 'lookups')).length === files ? quick + 1 : 0;
      files = readdirSync(join(directory, 'lookups')).length;
    }
    await pipeline.close();
    const settled = seconds.splice(-runs);
    return {
      rows,
      foldSeconds: median(settled),
      files,
      longestStepSeconds: Math.max(...seconds),
      scanSeconds,
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Folds of 1,000 events by the size of the state, and the exponent of their time in it. */
export async function benchFold({ runs, rows = [1e6, 5e6, 20e6], log }: BenchOptions): Promise<object> {
  const measured: Awaited<ReturnType<typeof measure>>[] = [];
  for (const size of rows) {
    const m = await measure(size, runs);
    log(
      `${size} interactions: fold ${m.foldSeconds.toFixed(3)} s, one scan ${m.scanSeconds.toFixed(3)} s, longest step of the merge ${m.longestStepSeconds.toFixed(1)} s`,
    );
    measured.push(m);
  }
  const [first, last] = [measured[0]!, measured.at(-1)!];
  const exponent = Math.log(last.foldSeconds / first.foldSeconds) / Math.log(last.rows / first.rows);
  return { events, exponent, measured };
}
