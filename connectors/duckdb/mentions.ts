import type { DuckDBConnection } from './client.js';
import { literal, scalar } from './database.js';

/** SQL that finds an id in texts. */
export interface Mentions {
  /** Whether a column has it as a whole word: no letter or digit beside it, so that `7` is not in `17`. */
  word(column: string): string;
  /** Whether a column has it anywhere, also in bytes that were kept as base64. */
  anywhere(column: string): string;
  /** The column with a mark in its place. */
  without(column: string): string;
}

const border = '[^\\p{L}\\p{N}]';

/** Finds `id` as it is, as JSON writes it, and as a text of JSON does that stands in another one. */
export async function mentionsOf(connection: DuckDBConnection, id: string): Promise<Mentions> {
  const written = (text: string) => JSON.stringify(text).slice(1, -1);
  const json = written(id);
  const ascii = json.replace(/[^ -~]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const forms = [...new Set([id, json, ascii, written(json), written(ascii)])];
  const escaped: string[] = [];
  for (const form of forms) escaped.push(String(await scalar(connection, 'SELECT regexp_escape(?)', [form])));
  const pattern = literal(`(^|${border})(?:${escaped.join('|')})($|${border})`);
  const has = (column: string) => forms.map(form => `contains(${column}, ${literal(form)})`).join(' OR ');
  const bytes = literal(Buffer.from(id).toString('hex').toUpperCase());
  const once = (sql: string) => `regexp_replace(${sql}, ${pattern}, '\\1[erased]\\2', 'g')`;
  return {
    word: column => `((${has(column)}) AND regexp_matches(${column}, ${pattern}))`,
    anywhere: column => `(${has(column)} OR (starts_with(${column}, 'base64:')
      AND coalesce(contains(hex(TRY(from_base64(substr(${column}, 8, (length(${column}) - 7) // 4 * 4)))), ${bytes}), false)))`,
    // Twice, because neighbours share what is between them.
    without: column => once(once(column)),
  };
}
