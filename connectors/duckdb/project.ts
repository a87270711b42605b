import { parseExactJson } from '../../src/stages/number.js';

/** Fields of a record that a query may give. */
export const fields = ['user', 'item', 'weight', 'op', 'ts', 'id'] as const;
/** One of them. */
export type Field = (typeof fields)[number];

/** A name as an SQL identifier. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Types that are no text or number. */
export const nested = /\[\d*\]$|^(STRUCT|MAP|UNION)\(/;
export const wholeNumber = /^U?((TINY|SMALL|BIG|HUGE)INT|INTEGER)$/;
export const floating = /^(FLOAT|DOUBLE)$/;
/** Types whose weights and times are numbers. */
export const isNumber = (type: string): boolean =>
  wholeNumber.test(type) || floating.test(type) || type.startsWith('DECIMAL(');
/** Dates and times, which are projected to epoch milliseconds. */
export const moment = /^(TIMESTAMP|DATE)/;

/**
 * The expression that brings a column to a type the stage reads fast: text, double, epoch milliseconds.
 * A floating identifier stays a number, so that 7.0 is "7" and NaN is refused.
 */
export function project(field: Field, name: string, type: string): string {
  const column = quoted(name);
  if (field === 'ts' && moment.test(type)) {
    const instant = type === 'TIMESTAMP WITH TIME ZONE' ? column : `${column}::TIMESTAMP`;
    return `CASE WHEN ${column} IS NULL THEN NULL WHEN isfinite(${column}) THEN epoch_ms(${instant})::DOUBLE
      ELSE 'infinity'::DOUBLE END`;
  }
  const numeric = (field === 'weight' || field === 'ts') && isNumber(type);
  return numeric || floating.test(type) ? `${column}::DOUBLE` : `${column}::VARCHAR`;
}

/** A DECIMAL as the whole number that it is, or as a number with a fraction. */
function decimal(text: string): string | number {
  const [whole = '', fraction = ''] = text.split('.');
  return /[1-9]/.test(fraction) ? Number(text) : whole;
}

/** What a text of DuckDB's JSON holds, which may be NaN or Infinity. */
function jsonValue(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch {
    return Number(text);
  }
}

/**
 * What turns the values of a projected column into those of the field: JSON into what it holds, so that 7 and "7" are
 * one id, and a DECIMAL 7.00 into 7. `undefined`: they are so already.
 */
export function reader(field: Field, type: string): ((x: unknown) => unknown) | undefined {
  if (type === 'JSON') return x => (typeof x === 'string' ? jsonValue(x) : x);
  const identifies = field === 'user' || field === 'item' || field === 'id';
  return identifies && /^DECIMAL\(/.test(type) ? x => (typeof x === 'string' ? decimal(x) : x) : undefined;
}

/** The operation where the query gives none: what a flattened delete of change-data capture says is no addition. */
export const unmappedDelete = (column: string): string =>
  `CASE WHEN lower(${quoted(column)}::VARCHAR) = 'true' THEN '__deleted' END`;

/** The text of a query without the semicolon that ends it, in lines of its own so that a comment may end it. */
export const subquery = (query: string): string => `(\n${query.trim().replace(/;\s*$/, '')}\n)`;

/** A row as JSON, with its cursor to find it by; numbers that JSON lacks are named. */
export function original(
  columns: readonly Field[],
  row: readonly unknown[],
  cursor: string | undefined,
  at: unknown,
): string {
  const named = (x: unknown) => (typeof x === 'number' && !Number.isFinite(x) ? String(x) : x);
  const entries: [string, unknown][] = columns.map((f, c) => [f, named(row[c])]);
  if (cursor !== undefined && !columns.some(f => f === cursor.toLowerCase())) entries.push([cursor, at]);
  return JSON.stringify(Object.fromEntries(entries));
}
