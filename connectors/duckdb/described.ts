import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { all } from './database.js';
import { type Field, fields, nested, project, unmappedDelete } from './project.js';

/** A column of the query. */
export interface Column {
  readonly name: string;
  readonly type: string;
}

/** What the columns of a query are for. */
export interface Described {
  readonly expressions: ReadonlyMap<Field, string>;
  /** Types of the columns that fields have. */
  readonly types: ReadonlyMap<Field, string>;
  readonly names: readonly string[];
  readonly cursor: Column | undefined;
}

/** Finds the columns of a query: the expressions of its fields, its cursor, and all names. */
export async function describe(
  connection: DuckDBConnection,
  from: string,
  wantedCursor: string | undefined,
  where: string,
): Promise<Described> {
  const rows = await all(connection, `DESCRIBE ${from}`);
  const types = new Map(rows.map(r => [String(r.column_name), String(r.column_type)]));
  const names = [...types.keys()];
  const unreadable = (what: string, remedy?: string) =>
    new StageError('SOURCE_UNREADABLE', `${where}: ${what}`, remedy === undefined ? {} : { remedy });
  const find = (wanted: string) =>
    names.find(t => t === wanted) ?? names.find(t => t.toLowerCase() === wanted.toLowerCase());
  const missing = (what: string, remedy?: string) =>
    unreadable(`expected the query to give a ${what}, found ${names.join(', ')}`, remedy);
  const expressions = new Map<Field, string>();
  const typesOfFields = new Map<Field, string>();
  for (const field of fields) {
    const column = find(field);
    if (column === undefined) {
      if (field === 'user' || field === 'item') throw missing(`column ${field}`);
      const deleted = field === 'op' ? find('__deleted') : undefined;
      if (deleted !== undefined) expressions.set(field, unmappedDelete(deleted));
      continue;
    }
    const type = types.get(column)!;
    if (nested.test(type)) {
      throw unreadable(`column ${field}: expected one value in a row, found ${type}; unnest it in the query`);
    }
    expressions.set(field, project(field, column, type));
    typesOfFields.set(field, type);
  }
  const name = wantedCursor === undefined ? undefined : find(wantedCursor);
  if (wantedCursor !== undefined && name === undefined) {
    const remedy = `add ${wantedCursor} to the SELECT, or name a column of the result as \`cursor\``;
    throw missing(`cursor column ${wantedCursor}`, remedy);
  }
  const cursor = name === undefined ? undefined : { name, type: types.get(name)! };
  return { expressions, types: typesOfFields, names, cursor };
}
