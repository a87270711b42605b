/**
 * The DuckDB source over real files:
 * - a resumed source gives exactly the rows that were not taken, from every position, with ties, without a
 *   cursor, and when rows of the border's cursor arrive later, wherever they sort;
 * - what it will never give (rows behind the cursor, rows without one) is warned of, once for each growth;
 * - what cannot be read is one clear error, and the source can be read again after it.
 */
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test, vi } from 'vitest';
import { readAttributes } from '#connectors/duckdb/attributes.js';
import { createDuckdbSource } from '#connectors/duckdb/source.js';
import { duckdbSourceOptions } from '#connectors/duckdb/source-options.js';
import type { PartitionBatch, Position, Source } from '#src/contracts/index.js';
import { decodeEvents } from '#src/stages/events.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';

type Options = Parameters<typeof duckdbSourceOptions.parse>[0] & object;

function sourceOf(options: Options, directory?: string): Source {
  return createDuckdbSource(duckdbSourceOptions.parse({ type: 'duckdb', checkMs: 0, ...options }), directory);
}

/** Reads until there is nothing more: `user:item` of each row, the positions behind each batch, the warnings. */
async function drain(source: Source, from: readonly Position[] = [], most = Number.POSITIVE_INFINITY) {
  await source.connect(from);
  const rows: string[] = [];
  const sequences: number[] = [];
  const positions: Position[] = [];
  const warnings: string[] = [];
  try {
    for (let batches = 0; batches < most; batches++) {
      const read = await source.read();
      warnings.push(...(source.warnings?.() ?? []));
      if (!read) break;
      const [{ records, position }] = read.batches as [PartitionBatch];
      for (let k = 0; k < records.length; k++) rows.push(`${records.user[k]}:${records.item[k]}`);
      sequences.push(...Array.from(records.sequence));
      positions.push(position);
      await read.ack();
    }
  } finally {
    await source.close();
  }
  return { rows, sequences, positions, warnings };
}

/** The columns of one read of everything. */
async function columns(options: Options, directory?: string) {
  const source = sourceOf(options, directory);
  await source.connect([]);
  const read = await source.read();
  await source.close();
  return read!.batches[0]!.records;
}

const unreadable = (message: RegExp) => ({
  code: 'SOURCE_UNREADABLE',
  message: expect.stringMatching(message),
});

const cursors = {
  BIGINT: (k: number) => `${k}::BIGINT`,
  TIMESTAMP: (k: number) => `TIMESTAMP '2024-03-31 01:00:00' + INTERVAL ${k} MINUTE`,
  TIMESTAMPTZ: (k: number) => `TIMESTAMPTZ '2024-03-31 00:30:00+00' + INTERVAL ${k} MINUTE`,
  DATE: (k: number) => `DATE '2024-02-20' + ${k}`,
  VARCHAR: (k: number) => `'it''s ${String.fromCharCode(97 + k)}'`,
  DOUBLE: (k: number) => `${k / 7}::DOUBLE`,
  'DECIMAL(18,3)': (k: number) => `${k}.125::DECIMAL(18,3)`,
  UUID: (k: number) => `'00000000-0000-4000-8000-0000000000${String(10 + k)}'::UUID`,
} as const;

test('from every position, exactly the remaining rows: any cursor type, ties, batch size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...(Object.keys(cursors) as (keyof typeof cursors)[])),
      fc.array(fc.record({ at: fc.nat(4), user: fc.nat(2), item: fc.nat(3) }), {
        minLength: 1,
        maxLength: 14,
      }),
      fc.integer({ min: 1, max: 5 }),
      async (type, rows, batchSize) => {
        const values = rows.map(r => `(${r.user}, ${r.item}, ${cursors[type](r.at)})`).join(', ');
        const query = `SELECT * FROM (VALUES ${values}) t("user", item, tick)`;
        const options = { query, cursor: 'tick', batchSize };
        const whole = await drain(sourceOf(options));
        expect([...whole.rows].sort()).toEqual(rows.map(r => `${r.user}:${r.item}`).sort());
        expect(whole.sequences).toEqual(rows.map((_, k) => k));
        expect(whole.warnings).toEqual([]);
        for (const position of whole.positions) {
          const rest = await drain(sourceOf(options), [position]);
          expect(rest.rows).toEqual(whole.rows.slice(position.sequence + 1));
          expect(rest.sequences).toEqual(whole.sequences.slice(position.sequence + 1));
          expect(rest.warnings).toEqual([]);
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('a growing table: every row once, ties that arrive later included, older rows warned of', async () => {
  const row = fc.record({ at: fc.nat(6), user: fc.nat(3), item: fc.nat(3) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(row, { maxLength: 5 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      async (rounds, batchSize, reopened) => {
        const path = join(temporaryDirectory(), 'w.duckdb');
        await runSql(path, 'CREATE TABLE events (tick BIGINT, "user" INTEGER, item INTEGER)');
        const make = () =>
          sourceOf({ database: path, query: 'SELECT * FROM events', cursor: 'tick', batchSize });
        let source = make();
        let position: Position | undefined;
        let border = -1;
        const expected: string[] = [];
        const taken: string[] = [];
        let late = 0;
        let warned = 0;
        for (const rows of rounds) {
          const values = rows.map(r => `(${r.at}, ${r.user}, ${r.item})`).join(', ');
          if (rows.length > 0) await runSql(path, `INSERT INTO events VALUES ${values}`);
          for (const r of rows) {
            if (r.at < border) late++;
            else expected.push(`${r.user}:${r.item}`);
          }
          border = Math.max(border, ...rows.map(r => r.at));
          const found = await drain(source, position ? [position] : []);
          position = found.positions.at(-1) ?? position;
          taken.push(...found.rows);
          for (const text of found.warnings) warned += Number(/^(\d+) rows appeared/.exec(text)![1]);
          expect([...taken].sort()).toEqual([...expected].sort());
          if (!reopened) expect(warned).toBe(late);
          // A new process warns again until a position is stored behind the warning, but never of less.
          else expect(warned).toBeGreaterThanOrEqual(late);
          if (reopened) source = make();
        }
      },
    ),
    { numRuns: 8 },
  );
});

it('remembers places in place of rows when very many share a cursor', async () => {
  const query = 'SELECT range AS "user", range % 7 AS item, 1 AS tick FROM range(25000)';
  const options = { query, cursor: 'tick', batchSize: 9000 };
  const whole = await drain(sourceOf(options));
  expect(new Set(whole.rows).size).toBe(25_000);
  for (const position of whole.positions) {
    expect(position.token!.length).toBeLessThan(200_000);
    expect((await drain(sourceOf(options), [position])).rows).toEqual(
      whole.rows.slice(position.sequence + 1),
    );
  }
});

it('does not take a row for one of the border that was deleted', async () => {
  const path = join(temporaryDirectory(), 'w.duckdb');
  await runSql(path, `CREATE TABLE events AS SELECT 1 AS tick, 'u' AS "user", 'i' AS item`);
  const options = { database: path, query: 'FROM events', cursor: 'tick', batchSize: 1 };
  const { positions } = await drain(sourceOf(options));
  await runSql(
    path,
    'DELETE FROM events',
    `INSERT INTO events VALUES (2, 'u', 'j'), (2, 'u', 'i'), (2, 'u', 'i')`,
  );
  expect((await drain(sourceOf(options), positions)).rows.sort()).toEqual(['u:i', 'u:i', 'u:j']);
});

describe('warnings', () => {
  async function table() {
    const path = join(temporaryDirectory(), 'w.duckdb');
    await runSql(
      path,
      'CREATE TABLE events (tick BIGINT, "user" VARCHAR, item VARCHAR)',
      `INSERT INTO events VALUES (5, 'a', 'x'), (9, 'b', 'y')`,
    );
    return { path, source: sourceOf({ database: path, query: 'FROM events', cursor: 'tick' }) };
  }

  it('counts rows that came too late, once', async () => {
    const { path, source } = await table();
    const { positions } = await drain(source);
    await runSql(path, `INSERT INTO events VALUES (1, 'late', 'z'), (5, 'late', 'z')`);
    expect((await drain(source, positions)).warnings).toEqual([
      expect.stringMatching(
        /^2 rows appeared with a tick at or before 9, which was read already: they are not taken/,
      ),
    ]);
    expect((await drain(source, positions)).warnings).toEqual([]);
    await runSql(path, `INSERT INTO events VALUES (2, 'late', 'z'), (10, 'c', 'x')`);
    const next = await drain(source, positions);
    expect(next.rows).toEqual(['c:x']);
    expect(next.warnings).toEqual([expect.stringMatching(/^1 rows appeared/)]);
    await runSql(path, `INSERT INTO events VALUES (11, 'd', 'x')`);
    const last = await drain(source, next.positions);
    expect(last).toMatchObject({ rows: ['d:x'], warnings: [] });
    // The position now accounts for them: another process stays quiet.
    const other = sourceOf({ database: path, query: 'FROM events', cursor: 'tick' });
    expect((await drain(other, last.positions)).warnings).toEqual([]);
  });

  it('counts rows without a cursor and goes on', async () => {
    const { path, source } = await table();
    await runSql(path, `INSERT INTO events VALUES (NULL, 'n', 'x')`);
    const { rows, warnings, positions } = await drain(source);
    expect(rows).toEqual(['a:x', 'b:y']);
    expect(warnings).toEqual([expect.stringMatching(/^1 rows have no tick: they are not taken/)]);
    expect((await drain(source, positions)).warnings).toEqual([]);
    await runSql(path, `INSERT INTO events VALUES (NULL, 'n', 'x'), (12, 'c', 'z')`);
    const next = await drain(source, positions);
    expect(next.rows).toEqual(['c:z']);
    expect(next.warnings).toEqual([expect.stringMatching(/^2 rows have no tick/)]);
  });

  it('says nothing of deleted rows, or before the time to look has come', async () => {
    const { path, source } = await table();
    const { positions } = await drain(source);
    await runSql(path, 'DELETE FROM events WHERE tick = 5');
    expect((await drain(source, positions)).warnings).toEqual([]);
    const rarely = sourceOf({ database: path, query: 'FROM events', cursor: 'tick', checkMs: 3_600_000 });
    const first = await drain(rarely);
    await runSql(path, `INSERT INTO events VALUES (1, 'late', 'z')`);
    expect((await drain(rarely, first.positions)).warnings).toEqual([]);
  });

  it('says that a query without a cursor lost rows', async () => {
    const path = join(temporaryDirectory(), 'w.duckdb');
    await runSql(path, `CREATE TABLE events AS SELECT range AS "user", 1 AS item FROM range(4)`);
    const source = sourceOf({ database: path, query: 'FROM events' });
    const { rows, positions } = await drain(source);
    expect(rows).toHaveLength(4);
    await runSql(path, 'DELETE FROM events WHERE "user" = 0');
    expect((await drain(source, positions)).warnings).toEqual([
      expect.stringMatching(/gives 3 rows, of which 4/),
    ]);
    expect((await drain(source, positions)).warnings).toEqual([]);
  });
});

it('without a cursor, goes on behind the rows taken', async () => {
  const query = 'SELECT range AS "user", range % 3 AS item FROM range(7)';
  const whole = await drain(sourceOf({ query, batchSize: 2 }));
  expect(whole.rows.map(r => r.split(':')[0])).toEqual(['0', '1', '2', '3', '4', '5', '6']);
  for (const position of whole.positions)
    expect((await drain(sourceOf({ query }), [position])).rows).toEqual(
      whole.rows.slice(position.sequence + 1),
    );
});

describe('a query that gets or loses a column', () => {
  /** Two rows alike and one other, at one cursor; then with further ones. */
  const query = (columns: string, ...more: readonly string[]) =>
    `SELECT ${columns} FROM (VALUES ('u', 'a', 1, 2.0), ('u', 'a', 1, 2.0), ('u', 'b', 1, 3.0)${more.map(r => `, ${r}`).join('')})
      t("user", item, tick, weight)`;
  const [narrow, wide] = ['"user", item, tick', '"user", item, weight, tick'];
  const late = ["('u', 'a', 1, 2.0)", "('w', 'c', 1, 5.0)"] as const;
  const at = async (source: Source, from: readonly Position[] = []) => {
    const { rows, positions } = await drain(source, from);
    return { rows: rows.sort(), at: positions.length > 0 ? [positions.at(-1)!] : from };
  };

  it.each([['tick'], [undefined]])('takes no row again when it gets one, with cursor %s', async cursor => {
    const first = await at(sourceOf({ query: query(narrow), cursor }));
    expect(first.rows).toEqual(['u:a', 'u:a', 'u:b']);
    expect((await at(sourceOf({ query: query(wide), cursor }), first.at)).rows).toEqual([]);
    const second = await at(sourceOf({ query: query(wide, ...late), cursor }), first.at);
    expect(second.rows).toEqual(['u:a', 'w:c']);
    expect((await at(sourceOf({ query: query(wide, ...late), cursor }), second.at)).rows).toEqual([]);
    // Rows are known by the narrow fields still.
    expect((await at(sourceOf({ query: query(narrow, ...late), cursor }), second.at)).rows).toEqual([]);
  });

  it('takes no row again when it loses one, and knows those that join them', async () => {
    const first = await at(sourceOf({ query: query(wide), cursor: 'tick' }));
    const without = await at(sourceOf({ query: query(narrow), cursor: 'tick' }), first.at);
    expect(without.rows).toEqual([]);
    const source = sourceOf({ query: query(narrow), cursor: 'tick' });
    expect((await drain(source, first.at)).rows).toEqual([]);
    const later = query(narrow, "('u', 'a', 2, 2.0)", "('w', 'c', 3, 5.0)");
    expect((await at(sourceOf({ query: later, cursor: 'tick' }), first.at)).rows).toEqual(['u:a', 'w:c']);
  });

  it('is refused where nothing tells old rows from new ones', async () => {
    const first = await at(sourceOf({ query: query(wide), cursor: 'tick' }));
    await expect(
      at(sourceOf({ query: query(narrow, ...late), cursor: 'tick' }), first.at),
    ).rejects.toMatchObject({
      ...unreadable(
        /no longer gives weight, by which rows with tick = 1 are known: 3 of them were taken, 5 are there now$/,
      ),
      remedy: expect.stringMatching(/give weight again/),
    });
    const second = await at(sourceOf({ query: query(wide) }));
    await expect(at(sourceOf({ query: query(narrow) }), second.at)).rejects.toMatchObject(
      unreadable(/no longer gives weight, by which rows that were taken are known$/),
    );
  });

  it('goes on from what an earlier program stored', async () => {
    for (const cursor of ['tick', undefined]) {
      const [position] = (await at(sourceOf({ query: query(wide), cursor }))).at as [Position];
      const { fields: _, ...token } = JSON.parse(position.token!) as { fields: unknown };
      const old = { ...position, token: JSON.stringify(token) };
      expect((await at(sourceOf({ query: query(wide, ...late), cursor }), [old])).rows).toEqual([
        'u:a',
        'w:c',
      ]);
    }
  });
});

it('lets go of the database when it is stopped on its way', async () => {
  const path = join(temporaryDirectory(), 'w.duckdb');
  await runSql(path, `CREATE TABLE events AS SELECT range AS "user", 1 AS item FROM range(200000)`);
  const source = sourceOf({ database: path, query: 'FROM events', batchSize: 1000 });
  const { rows, positions } = await drain(source, [], 1);
  expect(rows).toHaveLength(1000);
  await runSql(path, 'INSERT INTO events VALUES (200000, 1)', 'CHECKPOINT');
  expect((await drain(source, positions)).rows).toHaveLength(199_001);
});

it('an empty source gives nothing, and rows once there are some', async () => {
  const path = join(temporaryDirectory(), 'w.duckdb');
  await runSql(path, 'CREATE TABLE events (tick BIGINT, "user" VARCHAR, item VARCHAR)');
  for (const cursor of [undefined, 'tick']) {
    const source = sourceOf({ database: path, query: 'FROM events', ...(cursor && { cursor }) });
    expect(await drain(source)).toEqual({ rows: [], sequences: [], positions: [], warnings: [] });
  }
  await runSql(path, `INSERT INTO events VALUES (0, 'u', 'i')`);
  expect((await drain(sourceOf({ database: path, query: 'FROM events', cursor: 'tick' }))).rows).toEqual([
    'u:i',
  ]);
});

it('reads Parquet and CSV globs from the directory of the configuration', async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'in'));
  const copy = (select: string, name: string) => `COPY (${select}) TO '${join(directory, 'in', name)}'`;
  await runSql(
    ':memory:',
    copy(`SELECT 'a' AS "user", 'x' AS item`, '1.parquet'),
    copy(`SELECT 'b' AS "user", 'y' AS item`, '2.parquet'),
    copy(`SELECT 'c' AS "user", 'z' AS item`, '1.csv'),
  );
  expect((await drain(sourceOf({ query: `FROM 'in/*.parquet'` }, directory))).rows).toEqual(['a:x', 'b:y']);
  expect((await drain(sourceOf({ query: `FROM 'in/*.csv'` }, directory))).rows).toEqual(['c:z']);
});

it.each([
  'SELECT 1 AS "user", 2 AS item;',
  'SELECT 1 AS "user", 2 AS item -- the end',
  '\n WITH t AS (SELECT 1 AS "user", 2 AS item) FROM t ;\n',
  'SELECT 1 AS "USER", 2 AS "Item"',
])('takes the query %j', async query => {
  expect((await drain(sourceOf({ query }))).rows).toEqual(['1:2']);
});

describe('column types', () => {
  const decoded = async (select: string) => decodeEvents(await columns({ query: `SELECT ${select}` }), 100);

  it.each([
    [`DECIMAL`, `7::DECIMAL(9,0)`, '7'],
    [
      `HUGEINT`,
      `170141183460469231731687303715884105727::HUGEINT`,
      '170141183460469231731687303715884105727',
    ],
    [`UUID`, `'31d58af0-4778-4123-98d5-cb29c085d0b0'::UUID`, '31d58af0-4778-4123-98d5-cb29c085d0b0'],
    [`DATE`, `DATE '2024-02-29'`, '2024-02-29'],
    [`ENUM`, `'b'::ENUM('a', 'b')`, 'b'],
    [`DOUBLE`, `7.0::DOUBLE`, '7'],
    [`BOOLEAN`, `true`, 'true'],
    [`DECIMAL with zeros`, `101.00::DECIMAL(9,2)`, '101'],
    [`JSON text`, `'"ann"'::JSON`, 'ann'],
    [`JSON number`, `'7.0'::JSON`, '7'],
    [`JSON number of 64 bits`, `'1795292668348461057'::JSON`, '1795292668348461057'],
    [`text with a byte order mark`, `'\ufeffann'`, 'ann'],
  ])('%s as an identifier', async (_, sql, expected) => {
    const { events } = await decoded(`${sql} AS "user", 'i' AS item`);
    expect(events.user).toEqual([expected]);
  });

  it.each([
    ['NaN', `'nan'::DOUBLE`],
    ['a fraction', '1.5::DOUBLE'],
    ['a DECIMAL with a fraction', '1.50::DECIMAL(9,2)'],
    ['a JSON object', `'{"a":1}'::JSON`],
    ['a JSON truth value', `'true'::JSON`],
  ])('%s is no identifier', async (_, sql) => {
    const { dead } = await decoded(`${sql} AS "user", 'i' AS item`);
    expect(dead).toMatchObject([{ code: 'user-type' }]);
  });

  it.each([
    ['DECIMAL', '2.25::DECIMAL(9,2)', 225],
    ['HUGEINT', '3::HUGEINT', 300],
    ['UTINYINT', '3::UTINYINT', 300],
    ['FLOAT', '0.5::FLOAT', 50],
    ['text', `'1.5'`, 150],
    ['NULL', 'NULL', 100],
  ])('%s as a weight', async (_, sql, expected) => {
    const { events } = await decoded(`1 AS "user", 2 AS item, ${sql} AS weight`);
    expect([...events.weight]).toEqual([expected]);
  });

  it('NaN, infinite and worded weights become dead letters that say so', async () => {
    for (const weights of [`['nan', 'inf']::DOUBLE[]`, `['NaN', 'Infinity']::JSON[]`]) {
      const { dead } = await decoded(`1 AS "user", 2 AS item, unnest(${weights}) AS weight`);
      expect(dead.map(d => [d.code, JSON.parse(d.raw).weight])).toEqual([
        ['weight-type', 'NaN'],
        ['weight-type', 'Infinity'],
      ]);
    }
  });

  const noon = Date.UTC(2024, 6, 1, 12);
  it.each([
    ['TIMESTAMP', `TIMESTAMP '2024-07-01 12:00:00'`, noon],
    ['TIMESTAMPTZ', `TIMESTAMPTZ '2024-07-01 14:00:00+02'`, noon],
    ['TIMESTAMP_NS', `'2024-07-01 12:00:00'::TIMESTAMP_NS`, noon],
    ['DATE', `DATE '2024-07-01'`, noon - 12 * 3_600_000],
    ['BIGINT', `${noon}::BIGINT`, noon],
    ['VARCHAR', `'2024-07-01 12:00:00'`, noon],
    ['NULL', `NULL::TIMESTAMP`, 0],
  ])('%s as a time, in any zone', async (_, sql, expected) => {
    const { events } = await decoded(`1 AS "user", 2 AS item, ${sql} AS ts`);
    expect([...events.ts]).toEqual([expected]);
  });

  it('an infinite time is a dead letter', async () => {
    const { dead } = await decoded(`1 AS "user", 2 AS item, 'infinity'::TIMESTAMP AS ts`);
    expect(dead).toMatchObject([{ code: 'ts-invalid' }]);
  });

  it('dates keep their unit, numbers have the configured one', async () => {
    const read = async (sql: string, timeUnit: 'auto' | 'days' = 'auto') =>
      decodeEvents(await columns({ query: `SELECT 1 AS "user", 2 AS item, ${sql} AS ts`, timeUnit }), 1);
    expect([...(await read(`TIMESTAMP '1975-01-01'`)).events.ts]).toEqual([Date.UTC(1975, 0)]);
    expect([...(await read(`DATE '1970-08-23'`, 'days')).events.ts]).toEqual([Date.UTC(1970, 7, 23)]);
    expect([...(await read('20574', 'days')).events.ts]).toEqual([Date.UTC(2026, 4, 1)]);
    expect((await read('20574')).dead).toMatchObject([{ code: 'ts-invalid' }]);
  });

  it('a flattened delete that nothing maps is no addition', async () => {
    const query = `SELECT 1 AS "user", i AS item, d AS __deleted FROM (VALUES (1, 'false'), (2, 'true')) t(i, d)`;
    const { events, dead } = decodeEvents(await columns({ query }), 1);
    expect([events.item, dead.map(d => d.code)]).toEqual([['1'], ['op-unknown']]);
  });

  it('a dead letter holds the fields and the cursor of its row', async () => {
    const query = `SELECT 17 AS line, '' AS "user", 'i' AS item, 2 AS weight`;
    const { dead } = decodeEvents(await columns({ query, cursor: 'line' }), 1);
    expect(JSON.parse(dead[0]!.raw)).toEqual({ user: '', item: 'i', weight: 2, line: '17' });
  });

  it.each([
    ['LIST', `[1, 2] AS "user", 1 AS item`, /column user: expected one value in a row, found INTEGER\[\]/],
    ['STRUCT', `1 AS "user", {a: 1} AS item`, /column item: .*found STRUCT\(a INTEGER\)/],
    ['MAP', `1 AS "user", MAP {'a': 1} AS item`, /column item: .*found MAP/],
    ['LIST weight', `1 AS "user", 1 AS item, [1] AS weight`, /column weight: .*found INTEGER\[\]/],
  ])('%s is refused as a whole', async (_, select, message) => {
    await expect(drain(sourceOf({ query: `SELECT ${select}` }))).rejects.toMatchObject(unreadable(message));
  });
});

describe('what cannot be read', () => {
  it.each([
    ['a missing column', `SELECT 1 AS "user", 2 AS thing`, /to give a column item, found user, thing$/],
    ['a syntax error', 'SELEC 1', /^source duckdb: syntax error at or near "SELEC"$/],
    ['another statement', 'DROP TABLE x', /syntax error/],
    ['two statements', 'SELECT 1 AS "user", 2 AS item; DROP TABLE x', /syntax error/],
    ['an unknown table', 'FROM nowhere', /Table with name nowhere does not exist/],
    ['no file', `FROM 'absent-*.parquet'`, /No files found that match the pattern "absent-\*\.parquet"/],
  ])('%s', async (_, query, message) => {
    await expect(drain(sourceOf({ query }))).rejects.toMatchObject(unreadable(message));
  });

  it('a missing cursor', async () => {
    const source = sourceOf({ query: `SELECT 1 AS "user", 2 AS item`, cursor: 'tick' });
    await expect(drain(source)).rejects.toMatchObject({
      ...unreadable(/to give a cursor column tick, found user, item$/),
      remedy: 'add tick to the SELECT, or name a column of the result as `cursor`',
    });
  });

  it('a missing or damaged database', async () => {
    const directory = temporaryDirectory();
    const query = 'FROM events';
    await expect(drain(sourceOf({ database: 'absent.duckdb', query }, directory))).rejects.toMatchObject(
      unreadable(/absent\.duckdb: expected a DuckDB file, found none/),
    );
    const path = join(directory, 'w.duckdb');
    await runSql(path, 'CREATE TABLE events AS SELECT range AS "user", 1 AS item FROM range(100000)');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0x5a, 4096, 4096 * 3));
    const started = Date.now();
    await expect(drain(sourceOf({ database: path, query }))).rejects.toMatchObject(unreadable(/w\.duckdb: /));
    // A damaged file is not waited for as a locked one is.
    expect(Date.now() - started).toBeLessThan(5000);
    writeFileSync(path, 'no database');
    await expect(drain(sourceOf({ database: path, query }))).rejects.toMatchObject(
      unreadable(/not a valid DuckDB/),
    );
  });

  it('a directory with a comma in its name', async () => {
    const directory = join(temporaryDirectory(), 'shop, "new" & it\'s');
    mkdirSync(directory);
    writeFileSync(join(directory, 'e.csv'), 'user,item\nu,i\n');
    writeFileSync(join(directory, 'a.csv'), 'item,gone\ni,true\n');
    const temporary = temporaryDirectory();
    vi.stubEnv('TMPDIR', temporary);
    expect((await drain(sourceOf({ query: "FROM 'e.csv'" }, directory))).rows).toEqual(['u:i']);
    expect(await readAttributes({ query: "FROM 'a.csv'" }, directory)).toMatchObject({ items: ['i'] });
    expect(readdirSync(temporary)).toEqual([]);
    vi.unstubAllEnvs();
  });

  it('Parquet that is empty, truncated or random, and then whole again', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'e.parquet');
    const source = sourceOf({ query: `FROM 'e.parquet'` }, directory);
    writeFileSync(path, '');
    await expect(drain(source)).rejects.toMatchObject(
      unreadable(/e\.parquet' too small to be a Parquet file/),
    );
    const write = () =>
      runSql(':memory:', `COPY (SELECT range AS "user", range % 9 AS item FROM range(20000)) TO '${path}'`);
    await write();
    truncateSync(path, 4000);
    await expect(drain(source)).rejects.toMatchObject(unreadable(/e\.parquet/));
    writeFileSync(path, Buffer.alloc(5000, 'PAR1 and more'));
    await expect(drain(source)).rejects.toMatchObject(unreadable(/e\.parquet/));
    await write();
    writeFileSync(path, readFileSync(path).fill(0xff, 100, 3000));
    await expect(drain(source)).rejects.toMatchObject(unreadable(/^source duckdb: [^\n]+$/));
    await write();
    expect((await drain(source)).rows).toHaveLength(20_000);
  });

  it('Parquet and CSV with text that is not UTF-8', async () => {
    const directory = temporaryDirectory();
    const broken = Buffer.from([0x63, 0xff, 0xfe]);
    writeFileSync(
      join(directory, 'e.csv'),
      Buffer.concat([Buffer.from('user,item\na,b\n'), broken, Buffer.from(',d\n')]),
    );
    await expect(drain(sourceOf({ query: `FROM 'e.csv'` }, directory))).rejects.toMatchObject(
      unreadable(/e\.csv: CSV Error on Line: 3: Invalid unicode[^\n]+ignore_errors/),
    );
    const skipping = `FROM read_csv('e.csv', header = true, ignore_errors = true)`;
    expect((await drain(sourceOf({ query: skipping }, directory))).rows).toEqual(['a:b']);
    const path = join(directory, 'e.parquet');
    await runSql(
      ':memory:',
      `COPY (SELECT 'ab~~~' AS "user", 'i' AS item) TO '${path}' (COMPRESSION uncompressed)`,
    );
    const bytes = readFileSync(path);
    for (let at = bytes.indexOf('ab~~~'); at >= 0; at = bytes.indexOf('ab~~~', at + 1))
      bytes.fill(0xff, at + 2, at + 5);
    writeFileSync(path, bytes);
    await expect(drain(sourceOf({ query: `FROM 'e.parquet'` }, directory))).rejects.toMatchObject(
      unreadable(/Invalid string encoding[^\n]*$/),
    );
  });

  it('a CSV row that does not fit its column', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'e.csv'), `user,item,weight\n${'a,b,1\n'.repeat(30_000)}x,y,abc\n`);
    await expect(drain(sourceOf({ query: `FROM 'e.csv'` }, directory))).rejects.toMatchObject(
      unreadable(/e\.csv: CSV Error on Line: 30002: [^\n]*"weight"[^\n]*"abc"/),
    );
    const asText = `FROM read_csv('e.csv', all_varchar = true)`;
    const { events, dead } = decodeEvents(await columns({ query: asText, batchSize: 40_000 }, directory), 1);
    expect([events.length, dead.map(d => d.code)]).toEqual([30_000, ['weight-type']]);
  });
});

describe('rows are known by what they are', () => {
  /** Everything that a source gives, kept in a state as a pipeline would keep it: marks are added to those stored. */
  async function onward(source: Source, from: readonly Position[]) {
    const { rows, positions, warnings } = await drain(source, from);
    let marks = Array.from(from[0]?.taken?.marks ?? []);
    for (const { taken } of positions) {
      if (!taken?.stored) marks = [];
      if (taken) marks.push(...taken.marks.subarray(taken.stored));
    }
    const last = positions.at(-1);
    const taken = last?.taken && { marks: BigUint64Array.from(marks), stored: 0 };
    return { rows, warnings, at: last ? [{ ...last, taken }] : from };
  }

  it('takes rows that join very many of the border’s date, and none of those twice', async () => {
    const path = join(temporaryDirectory(), 'w.duckdb');
    await runSql(
      path,
      `CREATE TABLE sales AS SELECT 'm' || r AS "user", 'i' || r % 100 AS item, DATE '2026-05-01' AS day FROM range(25000) t(r)`,
    );
    const source = sourceOf({ database: path, query: 'FROM sales', cursor: 'day', batchSize: 7000 });
    const first = await onward(source, []);
    expect(first.rows).toHaveLength(25_000);
    await runSql(path, `INSERT INTO sales SELECT 'a' || r, 'i1', DATE '2026-05-01' FROM range(5) t(r)`);
    const second = await onward(source, first.at);
    expect(second.rows.sort()).toEqual(['a0:i1', 'a1:i1', 'a2:i1', 'a3:i1', 'a4:i1']);
    // Equal to a row that was taken, and yet one more.
    await runSql(
      path,
      `INSERT INTO sales VALUES ('m7', 'i7', DATE '2026-05-01'), ('n', 'i', DATE '2026-05-02')`,
    );
    const third = await onward(source, second.at);
    expect(third.rows.sort()).toEqual(['m7:i7', 'n:i']);
    expect(third.at[0]!.taken).toBeUndefined();
    expect((await onward(source, third.at)).rows).toEqual([]);
    expect([first, second, third].flatMap(r => r.warnings)).toEqual([]);
  });

  it('stores all marks of a second date with very many rows', async () => {
    const path = join(temporaryDirectory(), 'w.duckdb');
    await runSql(
      path,
      `CREATE TABLE sales AS SELECT 'm' || r AS "user", 'i' AS item, DATE '2026-05-01' + (r // 14000)::INTEGER AS day
       FROM range(28000) t(r)`,
    );
    const source = sourceOf({ database: path, query: 'FROM sales', cursor: 'day', batchSize: 6000 });
    const first = await onward(source, []);
    expect(new Set(first.rows).size).toBe(28_000);
    await runSql(path, `INSERT INTO sales VALUES ('a', 'i', DATE '2026-05-02')`);
    expect((await onward(source, first.at)).rows).toEqual(['a:i']);
  });

  it('resumes a count of many ties that an earlier program stored', async () => {
    const query = 'SELECT range AS "user", range % 7 AS item, 1 AS tick FROM range(25000)';
    const options = { query, cursor: 'tick', batchSize: 3000 };
    const token = JSON.stringify({ cursor: '1', taken: 18_000, known: 18_000 });
    const { rows } = await onward(sourceOf(options), [{ partition: 'rows', sequence: 17_999, token }]);
    expect(rows).toEqual((await onward(sourceOf(options), [])).rows.slice(18_000));
  });

  const csv = (...rows: readonly string[]) => `${['user,item', ...rows].join('\n')}\n`;

  it('without a cursor, takes a file that sorts before those taken, once', async () => {
    const directory = temporaryDirectory();
    const put = (file: string, ...rows: readonly string[]) =>
      writeFileSync(join(directory, file), csv(...rows));
    const source = sourceOf({ query: `FROM '${directory}/*.csv'`, batchSize: 3 });
    put('b.csv', 'u,x', 'u,y', 'u,y', 'v,z');
    const first = await onward(source, []);
    expect(first.rows).toEqual(['u:x', 'u:y', 'u:y', 'v:z']);
    put('a.csv', 'w,x', 'u,y');
    const second = await onward(source, first.at);
    expect(second.rows.sort()).toEqual(['u:y', 'w:x']);
    put('c.csv', 'w,z');
    const third = await onward(sourceOf({ query: `FROM '${directory}/*.csv'` }), second.at);
    expect(third.rows).toEqual(['w:z']);
    expect((await onward(source, third.at)).rows).toEqual([]);
  });

  it('without a cursor, refuses rows in front of more rows than it knows', async () => {
    const path = join(temporaryDirectory(), 'w.duckdb');
    await runSql(path, `CREATE TABLE events AS SELECT range + 10 AS "user", 1 AS item FROM range(200001)`);
    const source = sourceOf({ database: path, query: 'FROM events ORDER BY "user"', batchSize: 100_000 });
    const first = await onward(source, []);
    expect(first.rows).toHaveLength(200_001);
    expect(first.at[0]!.taken).toBeUndefined();
    await runSql(path, 'INSERT INTO events VALUES (900000, 1)');
    const second = await onward(source, first.at);
    expect(second.rows).toEqual(['900000:1']);
    await runSql(path, 'INSERT INTO events VALUES (1, 1)');
    await expect(onward(source, second.at)).rejects.toMatchObject(
      unreadable(/rows before row 200002 are not those that were taken.*cursor/),
    );
  });
});
