/**
 * Events made by SQL against the same rows taken record by record:
 * - any types, any dirt: the inbox, the dead letters, the positions and their marks are the same;
 * - SQL is sure of plain rows, and never of a bad one;
 * - resumed at any position, with a cursor and without, and mixed with the other way;
 * - the same when many rows are taken at once, in a file that the inbox takes over.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Inbox } from '#connectors/duckdb/inbox.js';
import { Parts } from '#connectors/duckdb/parts.js';
import { createSchema, semanticsOptions, weightRules } from '#connectors/duckdb/schema.js';
import { createDuckdbSource } from '#connectors/duckdb/source.js';
import { duckdbSourceOptions } from '#connectors/duckdb/source-options.js';
import type { DecodedBatch, Position } from '#src/contracts/index.js';
import { decodeEvents } from '#src/stages/events.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';

type Way = 'records' | 'sql';
type Settings = Partial<Parameters<typeof duckdbSourceOptions.parse>[0] & object>;
type SemanticsInput = Parameters<typeof semanticsOptions.parse>[0];

/** Takes all rows into an inbox, reads in turn by `ways`; returns what lies in it then, and how many events SQL made. */
async function takenIn(settings: Settings, semantics: SemanticsInput, ways: readonly Way[], many?: number) {
  const parts = new Parts(temporaryDirectory());
  const meaning = semanticsOptions.parse(semantics);
  const weights = weightRules(meaning);
  const options = duckdbSourceOptions.parse({ type: 'duckdb', name: 's', checkMs: 0, ...settings });
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    await createSchema(connection, meaning);
    const inbox = await Inbox.open(connection);
    const positions: (readonly Position[])[] = [];
    let bySql = 0;
    for (let [turn, more] = [0, true]; more; turn++) {
      const source = createDuckdbSource(options, '.', undefined, many);
      if (ways[turn % ways.length] === 'sql')
        source.decodeFor!({ system: 'duckdb', weights, directory: parts.directory });
      await source.connect(await inbox.positions('s'));
      const most = ways.length === 1 ? Number.POSITIVE_INFINITY : 1;
      for (let taken = 0; taken < most; taken++) {
        const read = await source.read();
        more = read !== undefined;
        if (!read) break;
        const batches = read.batches.map(
          ({ records, decoded, position }): DecodedBatch => ({
            ...decodeEvents(records, weights),
            decoded,
            position,
          }),
        );
        bySql += batches.reduce((sum, b) => sum + (b.decoded?.length ?? 0), 0);
        await inbox.append('s', batches);
        positions.push(await inbox.positions('s'));
        // A replay changes nothing.
        expect(await inbox.append('s', batches)).toBe(0);
      }
      await source.close();
    }
    const rowsOf = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS();
    const waiting = await parts.waiting(connection);
    const events = await rowsOf(`SELECT * EXCLUDE (seq) FROM ${waiting} ORDER BY seq`);
    expect(await rowsOf(`SELECT count(DISTINCT seq) FROM ${waiting}`)).toEqual([[BigInt(events.length)]]);
    // Files that are not registered go with their source.
    const [[files]] = (await rowsOf('SELECT count(*) FROM parts')) as [[bigint]];
    expect(readdirSync(parts.directory)).toHaveLength(Number(files));
    const dead = await rowsOf('SELECT * EXCLUDE (rejected_at) FROM dead_letters ORDER BY sequence');
    return { bySql, positions, events, dead, files: Number(files) };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

const marksOf = (positions: readonly (readonly Position[])[]) =>
  positions.map(p => p.map(x => ({ ...x, taken: x.taken && [...x.taken.marks].sort() })));

const text = (s: string) => `'${s.replaceAll("'", "''")}'`;
const year2024 = 1_704_067_200;
/** SQL values by column type, clean and dirty. */
const ids: Readonly<Record<string, readonly string[]>> = {
  VARCHAR: [
    ...['a', 'b', 'ü€🎉', '7', ' x', "it''s", 'x'.repeat(1024), 'é'.repeat(512), 'NaN'].map(s => `'${s}'`),
    ...["''", 'NULL', `'${'x'.repeat(1025)}'`, `'${'é'.repeat(513)}'`, `'${'€'.repeat(342)}'`],
    ...[
      "chr(65279) || 'bom'",
      'chr(65279)',
      "'a' || chr(0) || 'b'",
      "'a' || chr(65533)",
      "'x' || chr(65279)",
    ],
    "chr(65279) || repeat('y', 1024)",
  ],
  BIGINT: ['1', '-7', '9223372036854775807', 'NULL'],
  UHUGEINT: ['0', '340282366920938463463374607431768211455', 'NULL'],
  DOUBLE: [
    '7.0',
    '-0.0::DOUBLE',
    '1.5',
    '9007199254740991',
    '9007199254740993',
    "'nan'",
    "'inf'",
    '1e300',
    'NULL',
  ],
  FLOAT: ['7', '0.5', '16777216', "'-inf'", 'NULL'],
  'DECIMAL(9,2)': ['7.00', '-7.00', '0.50', '7.10', '-0.01', '0', 'NULL'],
  'DECIMAL(18,0)': ['70', '-3', 'NULL'],
  JSON: [`'7'`, `'"7"'`, `'null'`, `'{"a":1}'`, `'7.5'`, 'NULL', `'12345678901234567890'`],
  BOOLEAN: ['true', 'NULL'],
  UUID: [`'00000000-0000-4000-8000-000000000001'`, 'NULL'],
  DATE: [`'2024-01-01'`, 'NULL'],
  'VARCHAR COLLATE NOCASE': ["'A'", "'a'", 'NULL'],
};
const weights: Readonly<Record<string, readonly string[]>> = {
  DOUBLE: [
    ...[
      '1',
      '0',
      '-0.0::DOUBLE',
      '2.5',
      '0.005',
      '0.0049',
      '0.004999999999999999',
      '-1',
      '5242.88',
      '5242.885',
      '5242.884999',
    ],
    ...['1e9', '1e308', "'nan'", "'inf'", "'-inf'", '1e-300', '0.015', '1.005', '20', '30', 'NULL'],
  ],
  FLOAT: ['0.1', '2.5', "'nan'", 'NULL'],
  INTEGER: ['0', '1', '-3', '2000000000', 'NULL'],
  HUGEINT: ['170141183460469231731687303715884105727', '3', 'NULL'],
  'DECIMAL(12,4)': ['0.0050', '2.5', '-0.1', '1.005', 'NULL'],
  VARCHAR: [
    ...[
      "'1'",
      "'0.5'",
      "' 2 '",
      "'1e2'",
      "'-1'",
      "'+1'",
      "'.5'",
      "'5.'",
      "'abc'",
      "''",
      "'0x10'",
      "'Infinity'",
      'NULL',
    ],
    ...["'0.30000000000000004'", "'1.005'", "'123456789012345.123456789012345'", "'００'"],
  ],
  JSON: [`'2'`, `'"2"'`, `'null'`, 'NULL'],
  BOOLEAN: ['true', 'NULL'],
};
const ops: Readonly<Record<string, readonly string[]>> = {
  VARCHAR: ["'add'", "'remove'", "'set'", "'alias'", "'ADD'", "''", "'add '", "'upsert'", 'NULL'],
  'VARCHAR COLLATE NOCASE': ["'ADD'", "'set'", 'NULL'],
  "ENUM('add', 'remove', 'other')": ["'add'", "'remove'", "'other'", 'NULL'],
  INTEGER: ['0', 'NULL'],
  DOUBLE: ['1', 'NULL'],
  JSON: [`'"add"'`, 'NULL'],
};
const times: Readonly<Record<string, readonly string[]>> = {
  BIGINT: [
    ...[
      '0',
      '9999',
      '10000',
      '-5',
      `${year2024}`,
      `${year2024}123`,
      `${year2024}123999`,
      `${year2024}123999888`,
    ],
    ...[
      '315532800',
      '315532799',
      '4102444800',
      '4102444799',
      '20240131',
      '20230231',
      '19691231',
      '20991231',
      '20240131101112',
    ],
    ...['9223372036854775807', '17', '19000', 'NULL'],
  ],
  DOUBLE: [
    ...[
      '1.001',
      '1.9',
      '-1.9',
      '-0.5',
      '9999.5',
      `${year2024}.001`,
      `${year2024}.9999`,
      `${year2024}123.7`,
      '20240131.0',
      '20240131.5',
    ],
    ...["'nan'", "'inf'", "'-inf'", '1e300', '-1e300', '8.64e15', '8.65e15', '1704067200.0006', 'NULL'],
  ],
  'DECIMAL(18,3)': [`${year2024}.001`, `${year2024}.123`, '0.5', 'NULL'],
  TIMESTAMP: [
    "'2024-01-02 03:04:05.678901'",
    "'1969-12-31 23:59:59.9995'",
    "'infinity'",
    "'2999-01-01'",
    'NULL',
  ],
  TIMESTAMPTZ: ["'2024-01-02 03:04:05+02'", "'-infinity'", 'NULL'],
  TIMESTAMP_NS: ["'2024-01-02 03:04:05.123456789'", 'NULL'],
  TIMESTAMP_S: ["'2024-01-02 03:04:05'", 'NULL'],
  DATE: ["'2024-02-29'", "'290000-01-01'", "'-infinity'", "'4000-01-01 (BC)'", 'NULL'],
  VARCHAR: [
    ...[
      '2024-01-02',
      '2024-02-30',
      '2023-02-29',
      '2024-01-02T03:04:05Z',
      '2024-01-02 03:04:05',
      '2024-01-02T24:00:00Z',
    ],
    ...[
      '2024-01-02T23:59:60Z',
      '2024-01-02T03:04',
      '2024-01-02T03:04:05.678901Z',
      '2024-01-02T03:04:05.9999',
      '1969-12-31',
    ],
    ...[
      '2024-01-02T03:04:05+02:00',
      '2024-01-02 03:04:05 Z',
      '20240131',
      `${year2024}`,
      `${year2024}.5`,
      'foo 1',
      '',
      ' 7 ',
    ],
    ...[
      '2100-01-01',
      '1e9',
      '0000-01-01',
      '2024-1-2',
      '2024-01-02t03:04:05z',
      '999999999999999',
      'infinity',
      'epoch',
    ],
    '2024-01-02T03:04:05,5',
  ].map(text),
  JSON: [`'${year2024}'`, 'NULL', `'"2024-01-02"'`],
  TIME: ["'10:00:00'", 'NULL'],
};
const eventIds: Readonly<Record<string, readonly string[]>> = {
  VARCHAR: [
    "'e1'",
    "'e2'",
    "''",
    'NULL',
    'NULL',
    `'${'x'.repeat(1025)}'`,
    `'a long event id that is not inline'`,
  ],
  BIGINT: ['1', '2', 'NULL'],
  DOUBLE: ['1.5', '2', 'NULL'],
};

const meanings: readonly SemanticsInput[] = [
  {},
  { interactions: 'last' },
  { interactions: 'last', weightScale: 1, maxWeight: 25 },
  { interactions: 'last', weightScale: 3, maxWeight: 0.1 },
  { interactions: 'sum' },
  { interactions: 'sum', weightScale: 65536, maxWeight: 10 },
];
const units = ['auto', 'counter', 'days', 's', 'ms', 'us', 'ns'] as const;

/** A column of a type, with values of it. */
const column = (types: Readonly<Record<string, readonly string[]>>, rows: number) =>
  fc
    .constantFrom(...Object.keys(types))
    .chain(type =>
      fc
        .array(fc.constantFrom(...types[type]!), { minLength: rows, maxLength: rows })
        .map(values => ({ type, values })),
    );
const maybe = <T>(x: fc.Arbitrary<T>) => fc.option(x, { nil: undefined, freq: 4 });
const tables = fc.integer({ min: 1, max: 40 }).chain(rows =>
  fc.record({
    rows: fc.constant(rows),
    user: column(ids, rows),
    item: column(ids, rows),
    weight: maybe(column(weights, rows)),
    op: maybe(column(ops, rows)),
    ts: maybe(column(times, rows)),
    id: maybe(column(eventIds, rows)),
    __deleted: maybe(column({ VARCHAR: ["'true'", "'false'", 'NULL'], BOOLEAN: ['true', 'false'] }, rows)),
  }),
);

interface Column {
  readonly type: string;
  readonly values: readonly string[];
}

/** A query of some rows of columns, and `tick`, by which they can be read. */
function queryOf(rows: number, columns: Readonly<Record<string, Column | undefined>>): string {
  const found = Object.entries(columns).flatMap(([name, c]) => (c ? [{ name, ...c }] : []));
  const value = (r: number) => [`${r % 7}`, ...found.map(c => `(${c.values[r]})::VARCHAR`)].join();
  const values = Array.from({ length: rows }, (_, r) => `SELECT ${value(r)}`).join(' UNION ALL ');
  const cast = found.map(({ name, type }) => {
    const [plain, collation] = type.split(' COLLATE ');
    return `TRY_CAST("${name}" AS ${plain})${collation ? ` COLLATE ${collation}` : ''} AS "${name}"`;
  });
  return `SELECT tick, ${cast.join()} FROM (${values}) t(tick, ${found.map(c => `"${c.name}"`).join()})`;
}

describe('every value of every type', () => {
  const cases = Object.entries({
    user: ids,
    item: ids,
    weight: weights,
    op: ops,
    ts: times,
    id: eventIds,
  }).flatMap(([field, types]) => Object.keys(types).map(type => ({ field, type, values: types[type]! })));
  it.each(cases)('$field: $type', async ({ field, type, values }) => {
    const plain = (sql: string): Column => ({ type: 'VARCHAR', values: values.map(() => sql) });
    const query = queryOf(values.length, {
      user: plain("'u'"),
      item: plain("'i'"),
      [field]: { type, values },
    });
    const variants =
      field === 'ts'
        ? units.map(timeUnit => ({ timeUnit, meaning: {} }))
        : meanings.map(meaning => ({ timeUnit: 'auto' as const, meaning }));
    for (const { timeUnit, meaning } of field === 'ts' || field === 'weight'
      ? variants
      : variants.slice(0, 1)) {
      const settings = { query, timeUnit };
      const other = await takenIn(settings, meaning, ['sql']);
      const { events, dead } = await takenIn(settings, meaning, ['records']);
      expect(other).toMatchObject({ events, dead });
    }
  });
});

test('any rows: the same events, dead letters, positions and marks as record by record', async () => {
  await fc.assert(
    fc.asyncProperty(
      tables,
      fc.constantFrom(...meanings),
      fc.constantFrom(...units),
      fc.constantFrom(0, 86_400_000, 1e15),
      fc.boolean(),
      fc.integer({ min: 1, max: 50 }),
      fc.constantFrom<readonly Way[]>(['sql'], ['sql', 'records']),
      fc.constantFrom(undefined, 0, 7),
      async ({ rows, ...columns }, meaning, timeUnit, maxAheadMs, hasCursor, batchSize, ways, many) => {
        const settings: Settings = {
          query: queryOf(rows, columns),
          ...(hasCursor ? { cursor: 'tick' } : {}),
          timeUnit,
          maxAheadMs,
          batchSize,
        } as Settings;
        const plain = await takenIn(settings, meaning, ['records']);
        const other = await takenIn(settings, meaning, ways, many);
        expect(other.events).toEqual(plain.events);
        // The clock moves between the two.
        expect(other.dead).toEqual(plain.dead);
        expect(plain.bySql).toBe(0);
        expect(other.bySql).toBeLessThanOrEqual(other.events.length);
        const place = ({ partition, sequence, token }: Position) => ({ partition, sequence, token });
        // Of many rows at once, none is marked.
        if (many !== undefined)
          expect(other.positions.at(-1)!.map(place)).toEqual(plain.positions.at(-1)!.map(place));
        else if (ways.length === 1) expect(marksOf(other.positions)).toEqual(marksOf(plain.positions));
        else expect(marksOf(other.positions).at(-1)).toEqual(marksOf(plain.positions).at(-1));
      },
    ),
    { numRuns: 30 },
  );
}, 180_000);

it.each([
  ['parquet', (path: string) => `COPY rows TO '${path}' (FORMAT parquet)`],
  ['csv', (path: string) => `COPY rows TO '${path}' (FORMAT csv, HEADER)`],
])('%s: many chunks, some rows bad; SQL makes all good ones', async (kind, copy) => {
  const directory = temporaryDirectory();
  const path = join(directory, `rows.${kind}`);
  await runSql(
    ':memory:',
    `CREATE TABLE rows AS SELECT 'user-' || (range % 997) AS "user", 'a long item key ' || (range % 101) AS item,
       CASE WHEN range % 1000 = 7 THEN -1 ELSE range % 5 END AS weight, TIMESTAMP '2024-01-01' + INTERVAL (range) SECOND AS ts,
       CASE WHEN range % 3 > 0 THEN 'a long event id ' || range END AS id FROM range(10_000)`,
    copy(path),
  );
  const settings = { query: `SELECT * FROM '${path}'`, batchSize: 3000 };
  const meaning = { interactions: 'last' } as const;
  const plain = await takenIn(settings, meaning, ['records']);
  const other = await takenIn(settings, meaning, ['sql']);
  expect(other.bySql).toBe(9990);
  expect(other.events).toEqual(plain.events);
  expect(other.dead).toEqual(plain.dead);
  expect(marksOf(other.positions)).toEqual(marksOf(plain.positions));
  expect(other.files).toBe(0);
  const atOnce = await takenIn(settings, meaning, ['sql'], 9000);
  expect(atOnce).toMatchObject({ bySql: 9990, events: plain.events, dead: plain.dead, files: 1 });
  expect(atOnce.positions).toHaveLength(1);
});
