import { type Command, wholeNumber } from '../command.js';
import { inLine } from '../printable.js';

const shown = (value: unknown): string =>
  inLine(value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value));

/** Rows as a table of text, columns as wide as their longest value. */
function table(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const lines = [columns.map(shown), ...rows.map(row => row.map(shown))];
  const widths = columns.map((_, c) => Math.max(...lines.map(line => line[c]!.length)));
  return lines
    .map(line =>
      line
        .map((cell, c) => cell.padEnd(widths[c]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const sql: Command = {
  summary: 'answer a SELECT over the views of the state: runs, models, interactions, dead_letters and others',
  arguments: ['QUERY'],
  usage: '"SELECT …" -c pipeline.yaml [--rows 1000] [--timeout 10]',
  options: { rows: { type: 'string' }, timeout: { type: 'string' } },
  help: { rows: 'rows at most; default 1000', timeout: 'seconds at most; default 10' },
  async run({ ask, positionals, values }) {
    const rows = wholeNumber('rows', values.rows ?? '1000');
    const timeoutMs = 1000 * wholeNumber('timeout', values.timeout ?? '10');
    const found = await ask('sql', { sql: positionals[0]!, rows, timeoutMs });
    const more = found.truncated ? `\n… more than ${rows} rows; --rows shows more` : '';
    return { json: found, text: `${table(found.columns, found.rows)}${more}` };
  },
};
