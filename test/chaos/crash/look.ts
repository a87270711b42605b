import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { createPipeline, type Pipeline, type PipelineOptions } from '../../../jobs/index.js';
import type { SinkVersion } from '../../../src/contracts/sink.js';
import { matrixOf } from '../../support/matrix.js';

/** What a state holds, as the library opens it. */
export interface Look {
  /** Position of the last row that was taken; −1 for none. */
  readonly position: number;
  readonly folded: number;
  readonly inbox: number;
  readonly segments: number;
  readonly models: number;
  /** Positions of the dead letters, ascending. */
  readonly dead: readonly number[];
  readonly matrix: ReadonlyMap<string, number>;
  /** What is wrong whatever the events were: the Gramian, files, checksums. */
  readonly faults: readonly string[];
  /** By the name of the sink. */
  readonly says: ReadonlyMap<
    string,
    { readonly champion: string | undefined; readonly versions: readonly SinkVersion[] }
  >;
}

/** Names that are put aside for somebody to look at. */
const aside = /aside|orphan/i;

/** Names in a folder of the state that the state does not know. */
function strangers(folder: string, known: readonly string[]): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter(name => !known.includes(name) && !aside.test(name));
}

async function faultsOf(pipeline: Pipeline): Promise<string[]> {
  const { directory, store } = pipeline.parts;
  const { differing, broken } = await pipeline.verify();
  const segments = (await store.segments()).map(s => s.file);
  const models = await store.models();
  const faults = [
    ...strangers(join(directory, 'gramian'), segments).map(name => `an orphan gramian/${name}`),
    ...strangers(
      join(directory, 'models'),
      models.map(m => m.version),
    ).map(name => `an orphan models/${name}`),
    ...broken.map(file => `a wrong checksum in ${file}`),
    ...(differing > 0 ? [`${differing} entries of the Gramian that differ`] : []),
  ];
  for (const { version, manifest } of models) {
    const file = (name: string) => join(directory, 'models', version, name);
    for (const name of ['weights.safetensors', 'manifest.json', 'items.json'])
      if (!existsSync(file(name))) faults.push(`model ${version} without ${name}`);
    if (!existsSync(file('weights.safetensors'))) continue;
    const checksum = createHash('sha256')
      .update(readFileSync(file('weights.safetensors')))
      .digest('hex');
    if (checksum !== manifest.weightsChecksum) faults.push(`other weights of ${version} than registered`);
    JSON.parse(readFileSync(file('manifest.json'), 'utf8'));
  }
  return faults;
}

/** Opens a state and its sinks and looks at everything. */
export async function lookAt(directory: string, options: PipelineOptions): Promise<Look> {
  const pipeline = await createPipeline(options, { baseDirectory: directory });
  try {
    const { store } = pipeline.parts;
    const says = await pipeline.withSinks(sinks =>
      Promise.all(
        sinks.map(
          async sink =>
            [sink.name, { champion: await sink.current(), versions: await sink.versions() }] as const,
        ),
      ),
    );
    return {
      position: (await store.positions('rows'))[0]?.sequence ?? -1,
      folded: await store.folded(),
      inbox: await store.pending(),
      segments: (await store.segments()).length,
      models: (await store.models()).length,
      dead: (await store.deadLetters(10_000)).map(d => d.sequence).sort((a, b) => a - b),
      matrix: await matrixOf(pipeline),
      faults: await faultsOf(pipeline),
      says: new Map(says),
    };
  } finally {
    await pipeline.close();
  }
}

/**
 * Everything that a command which only reads must leave alone, by name: the rows of each table of the state, read from
 * a copy, and the sizes of all other files.
 */
export async function fingerprint(directory: string): Promise<Map<string, string>> {
  const prints = new Map<string, string>();
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  for (const name of names.filter(n => !/^state\/(state\.duckdb|tmp)|-lock$/.test(n))) {
    const stat = statSync(join(directory, name));
    prints.set(name, stat.isDirectory() ? 'a directory' : `${stat.size} bytes`);
  }
  const copy = mkdtempSync(join(tmpdir(), 'sansa-stream-crash-look-'));
  try {
    for (const file of ['state.duckdb', 'state.duckdb.wal'])
      if (existsSync(join(directory, 'state', file)))
        cpSync(join(directory, 'state', file), join(copy, file));
    if (!existsSync(join(copy, 'state.duckdb'))) return prints;
    for (const [table, print] of await tablePrints(join(copy, 'state.duckdb'))) prints.set(table, print);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return prints;
}

async function tablePrints(database: string): Promise<[string, string][]> {
  const instance = await DuckDBInstance.create(database, { threads: '1' });
  const connection = await instance.connect();
  const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS() as unknown[][];
  try {
    const prints: [string, string][] = [];
    for (const [table] of await rows('SELECT table_name FROM duckdb_tables() WHERE NOT internal')) {
      const [print] = await rows(
        `SELECT count(*) || ' rows ' || md5(coalesce(sum(hash(t)::HUGEINT), 0)::VARCHAR)[:6] FROM "${table}" t`,
      );
      prints.push([`table ${table}`, String(print![0])]);
    }
    return prints;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
