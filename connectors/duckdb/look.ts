import type { Sample, SampledColumn } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { all, literal, reason, scalar } from './database.js';
import { nested, quoted } from './project.js';
import { ampleRoom } from './room.js';
import { openWarehouse } from './warehouse.js';

/** Rows that are looked at. */
const sampleRows = 100_000;

/** A table or a file as `FROM` names it. */
export interface Rows {
  /** The rows, columns of a CSV file read as the types given by their names. */
  from(types: Readonly<Record<string, string>>): string;
  readonly sample: Sample;
}

const namesOwnReader = /\.(parquet|json|ndjson)(\.gz|\.zst)?$/i;

const csv = (file: string, options: readonly string[]): string =>
  `read_csv(${[literal(file), ...options].join(', ')})`;

/** A number with a comma for its decimals. */
const withComma = /^-?\d+,\d+$/;

/** Looks at a file; DuckDB reads one of an unknown name as CSV. All rows of CSV tell the types: texts may come late. */
async function lookAtRows(connection: DuckDBConnection, file: string): Promise<Rows> {
  if (namesOwnReader.test(file))
    return { from: () => literal(file), sample: await look(connection, literal(file), file) };
  const all = ['sample_size = -1'];
  let sample = await look(connection, csv(file, all), file);
  const comma = sample.columns.some(c => withComma.test(c.example)) ? ["decimal_separator = ','"] : [];
  if (comma.length > 0) sample = await look(connection, csv(file, [...all, ...comma]), file);
  const from = (types: Readonly<Record<string, string>>) => {
    const named = Object.entries(types).map(([name, type]) => `${literal(name)}: ${literal(type)}`);
    return csv(file, [...comma, ...(named.length > 0 ? [`types = {${named.join(', ')}}`] : [])]);
  };
  return { from, sample };
}

async function look(connection: DuckDBConnection, from: string, where: string): Promise<Sample> {
  const described = await all(connection, `DESCRIBE SELECT * FROM ${from}`);
  const columns = described
    .map(({ column_name, column_type }) => ({ name: String(column_name), type: String(column_type) }))
    .filter(({ type }) => !nested.test(type));
  const figures = columns.map(({ name }, c) => {
    const column = quoted(name);
    const number = `TRY_CAST(${column}::VARCHAR AS DOUBLE)`;
    return `(count(*) - count(${column}))::DOUBLE AS missing${c}, count(DISTINCT ${column})::DOUBLE AS distinct${c},
      CASE WHEN count(${number}) = count(${column}) THEN min(${number}) END AS smallest${c},
      any_value(${column})::VARCHAR AS example${c}`;
  });
  const sql = `SELECT count(*)::DOUBLE AS rows${figures.map(f => `, ${f}`).join('')} FROM (FROM ${from} LIMIT ${sampleRows})`;
  const [found] = await all(connection, sql);
  const total = Number(await scalar(connection, `SELECT count(*) FROM ${from}`));
  const n = Number(found!.rows);
  return {
    where,
    rows: total,
    columns: columns.map(
      (column, c): SampledColumn => ({
        ...column,
        missing: n === 0 ? 0 : Number(found![`missing${c}`]) / n,
        unique: n > 0 && Number(found![`distinct${c}`]) === n,
        smallest: (found![`smallest${c}`] as number | null) ?? undefined,
        example: String(found![`example${c}`] ?? ''),
      }),
    ),
  };
}

/**
 * Looks at a CSV or Parquet file, or with `isDatabase` at every table of a DuckDB file; paths start from `baseDirectory`.
 *
 * @throws StageError `SOURCE_UNREADABLE` if the file cannot be read.
 */
export async function lookAtFile(
  file: string,
  { isDatabase, baseDirectory }: { readonly isDatabase: boolean; readonly baseDirectory: string },
): Promise<readonly Rows[]> {
  const opening = { mode: 'read', room: ampleRoom, baseDirectory } as const;
  const { connection, release } = await openWarehouse(isDatabase ? file : undefined, opening);
  try {
    if (!isDatabase) return [await lookAtRows(connection, file)];
    const tables = await all(
      connection,
      `SELECT schema_name, table_name FROM (
        SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal) ORDER BY ALL`,
    );
    const found: Rows[] = [];
    for (const { schema_name, table_name } of tables) {
      const from = schema_name === 'main' ? String(table_name) : `${schema_name}.${table_name}`;
      const name = from.split('.').map(quoted).join('.');
      const shown = /^[\w.]+$/.test(from) ? from : name;
      found.push({ from: () => shown, sample: await look(connection, name, from) });
    }
    return found;
  } catch (error) {
    if (error instanceof StageError) throw error;
    throw new StageError('SOURCE_UNREADABLE', `${file}: ${reason(error)}`, { cause: error });
  } finally {
    await release();
  }
}
