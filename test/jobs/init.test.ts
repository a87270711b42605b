/** `init` looks at data and writes a pipeline that runs as it stands. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

const header = 'Invoice,Customer ID,StockCode,Quantity,InvoiceDate';
/** A shop of 400 lines; every 50th has no customer, and some are returns. */
const orders = [header]
  .concat(
    Array.from({ length: 400 }, (_, k) => {
      const customer = k % 50 === 7 ? '' : 17_000 + ((k * 7) % 40);
      return `${5000 + (k >> 1)},${customer},"A, ${(k * k) % 23}",${(k % 9) - 1},2024-01-${10 + (k % 18)} 10:00`;
    }),
  )
  .join('\n');

interface Drafted {
  readonly columns: Record<string, string>;
  readonly rows: number;
  readonly next: readonly string[];
}

/** Runs the commands that `init` names one after the other. */
async function follow(cwd: string, { next }: Drafted): Promise<string> {
  let stdout = '';
  for (const line of next) {
    const said = await runCli(line.split(' ').slice(1), { cwd });
    expect([line, said.code, said.stderr.match(/^[A-Z_]+: .*/m)?.[0]]).toEqual([line, 0, undefined]);
    stdout = said.stdout;
  }
  return stdout;
}

describe('init --source', () => {
  it('maps a CSV file, leaves rows without a user out, and names the commands up to a list', async () => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, 'orders.csv'), orders);
    const said = await runCli(['init', '--source', 'csv', 'orders.csv', '--sink', 'lmdb', '--json'], { cwd });
    const drafted = said.json<Drafted & Record<string, unknown>>();
    // Quantities below zero are no weights, and an invoice is no id of an event.
    expect(drafted.columns).toEqual({ user: 'Customer ID', item: 'StockCode', ts: 'InvoiceDate' });
    expect(drafted.rows).toBe(400);
    const text = readFileSync(join(cwd, 'pipeline.yaml'), 'utf8');
    expect(text).toMatch(/^# yaml-language-server: \$schema=.*pipeline\.schema\.json$/m);
    const checked = await runCli(['validate', '-c', 'pipeline.yaml', '--sources', '--json'], { cwd });
    expect(checked.json()).toMatchObject({ samples: { events: { records: 392, deadLetters: 0 } } });
    expect(await follow(cwd, drafted)).toMatch(/^ +1 +\d\.\d{4} +A, \d+$/m);
  });

  it('reads ids that become text late, and numbers with a comma; says what it does not take', async () => {
    const cwd = temporaryDirectory();
    const lines = Array.from({ length: 60_000 }, (_, k) => {
      const day = `${String(1 + (k % 28)).padStart(2, '0')}.${String(1 + (k % 12)).padStart(2, '0')}.2025`;
      return `${k % 97};${k < 50_000 ? k % 300 : `A${k % 300}`};${day} 10:00;${k % 5},5`;
    });
    writeFileSync(join(cwd, 'shop.csv'), ['user_id;item_id;date;rating', ...lines].join('\n'));
    const said = await runCli(['init', '--source', 'csv', 'shop.csv'], { cwd });
    expect(said.stdout).toMatch(/weight from rating \(DOUBLE\)/);
    expect(said.stdout).toMatch(
      /^date \(VARCHAR, such as \d\d\.\d\d\.2025 10:00\) is not read: .*strptime\(date, /m,
    );
    const ingested = await runCli(['ingest', '-c', 'pipeline.yaml', '--json'], { cwd });
    expect(ingested.json()).toMatchObject({ events: 60_000, deadLetters: 0 });
    const checked = await runCli(['validate', '-c', 'pipeline.yaml'], { cwd });
    expect(checked.stdout).toMatch(
      /^configuration is valid\nnext: sansa-stream validate --sources -c pipeline\.yaml /,
    );
  });

  it('finds the table of a database, its ids and its cursor', async () => {
    const cwd = temporaryDirectory();
    const columns =
      "k AS event_id, 'u' || k % 9 AS visitor_id, k % 9 + k % 4 AS sku, k % 5 AS rating, TIMESTAMP '2024-01-01' + INTERVAL (k) MINUTE AS sold_at";
    await runSql(
      join(cwd, 'shop.duckdb'),
      `CREATE TABLE a_log (line VARCHAR); CREATE SCHEMA web; CREATE TABLE web.sales AS SELECT ${columns} FROM range(300) r(k)`,
    );
    const said = await runCli(['init', '--source', 'duckdb', 'shop.duckdb', '--json'], { cwd });
    const drafted = said.json<Drafted>();
    const { user, item, weight, ts, id } = drafted.columns as Record<string, string>;
    expect([user, item, weight, ts, id]).toEqual(['visitor_id', 'sku', 'rating', 'sold_at', 'event_id']);
    const text = readFileSync(join(cwd, 'pipeline.yaml'), 'utf8');
    expect(text).toMatch(/^ {4}cursor: id /m);
    expect(text).toMatch(/FROM web\.sales$/m);
    expect(await follow(cwd, drafted)).toMatch(/^ +1 /m);
  });

  it.each<[string, readonly string[], RegExp]>([
    ['another kind', ['--source', 'excel', 'x'], /--source: expected one of csv, .*kafka, found "excel"/],
    [
      'another sink',
      ['--source', 'csv', 'a.csv', '--sink', 'tape'],
      /--sink: expected one of .*, found "tape"/,
    ],
    ['no file', ['--source', 'csv'], /init --source csv: expected FILE, found nothing/],
    ['an absent file', ['--source', 'csv', 'b.csv'], /SOURCE_UNREADABLE: b\.csv: .*No files found/],
    ['no users', ['--source', 'csv', 'a.csv'], /a\.csv: expected a column for the user, found left, right/],
    [
      'an absent column',
      ['--source', 'csv', 'a.csv', '--user', 'x'],
      /expected a column x, found left, right/,
    ],
    ['no topic', ['--source', 'kafka', 'k:9092'], /expected BROKER:PORT\/TOPIC, found "k:9092"/],
  ])('refuses %s, and writes nothing', async (_, args, message) => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, 'a.csv'), 'left,right\nl,r\n');
    const said = await runCli(['init', ...args], { cwd });
    expect(said.stderr).toMatch(message);
    expect(said.code).toBeGreaterThan(0);
    expect(() => readFileSync(join(cwd, 'pipeline.yaml'))).toThrow();
  });

  it('takes columns by name', async () => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, 'a.csv'), 'left,right\nl,r\n');
    const args = ['init', '--source', 'csv', 'a.csv', '--user', 'left', '--item', 'right', '--json'];
    expect((await runCli(args, { cwd })).json()).toMatchObject({ columns: { user: 'left', item: 'right' } });
  });
});
