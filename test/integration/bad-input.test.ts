/**
 * Bad and barren input through the command line. Whatever a source holds, each command ends with 0, 1 or 2, says
 * in one line what is wrong and in one what to do, prints one JSON object with `--json`, loses no row
 * (events + dead letters = rows), and leaves a state that verifies and goes on with better input.
 */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

/** A pipeline over `events.parquet` in a directory of its own; `extra` is YAML of further settings. */
function pipelineOn(extra = '', sources = `{ type: duckdb, name: e, query: "FROM 'events.parquet'" }`) {
  const directory = temporaryDirectory();
  const file = join(directory, 'pipeline.yaml');
  writeFileSync(
    file,
    `sources: [${sources}]\nsinks: [{ type: files, path: feeds }, { type: lmdb, path: feeds.lmdb }]\nfit: { density: 1 }\n${extra}\n`,
  );
  /** Runs a command, checks its manners, and returns its exit code and JSON object. */
  async function run(...args: string[]) {
    const { code, stdout, stderr } = await runCli([...args, '-c', file, '--json']);
    expect(stdout.trimEnd()).not.toContain('\n');
    const json = JSON.parse(stdout);
    expect(stderr).not.toMatch(/^\s+at .*[:(]\d+/m);
    if (code === 0) expect(stderr).not.toMatch(/^[A-Z_]+: /m);
    else if (json.error) {
      const said = stderr.split('\n').filter(line => /^([A-Z_]+: | {2}→ )/.test(line));
      expect(said).toEqual([`${json.error.code}: ${json.error.message}`, `  → ${json.error.remedy}`]);
      expect(json.error.code).not.toBe('INTERNAL');
    }
    return { code, json, stderr };
  }
  /** Runs commands in turn: `name: code`, with the error's code where there is one. */
  async function runAll(...lines: string[]): Promise<string[]> {
    const outcomes: string[] = [];
    for (const line of lines) {
      const { code, json } = await run(...line.split(' '));
      outcomes.push(`${line}: ${code}${json.error ? ` ${json.error.code}` : ''}`);
    }
    return outcomes;
  }
  const events = (select: string) =>
    runSql(':memory:', `COPY (${select}) TO '${join(directory, 'events.parquet')}'`);
  return { directory, run, runAll, events };
}

const good = `SELECT 'u' || range % 9 AS "user", 'i' || range % 7 AS item FROM range(40)`;

it('one user', async () => {
  const { run, runAll, events } = pipelineOn('gramian: { mode: stored }');
  await events(`SELECT 'only' AS "user", 'i' || range AS item FROM range(5)`);
  expect(await runAll('ingest', 'fold', 'fit', 'publish', 'verify', 'compact')).toEqual([
    'ingest: 0',
    'fold: 0',
    'fit: 0',
    'publish: 0',
    'verify: 0',
    'compact: 0',
  ]);
  expect((await run('recommend', 'only')).json).toEqual({ id: 'only', items: [] });
  expect((await run('similar', 'i1')).json.items.map((i: { item: string }) => i.item).sort()).toEqual([
    'i0',
    'i2',
    'i3',
    'i4',
  ]);
  expect(await runAll('recommend nobody', 'similar nothing')).toEqual([
    'recommend nobody: 1 UNKNOWN_ID',
    'similar nothing: 1 UNKNOWN_ID',
  ]);
});

it('items that nobody touched twice, users with one item', async () => {
  const { run, runAll, events } = pipelineOn();
  await events(`SELECT 'u' || range AS "user", 'i' || range AS item FROM range(6)`);
  expect(await runAll('ingest', 'fold', 'fit', 'publish', 'verify', 'status')).toEqual([
    'ingest: 0',
    'fold: 0',
    'fit: 0',
    'publish: 0',
    'verify: 0',
    'status: 0',
  ]);
  expect((await run('recommend', 'u3')).json).toEqual({ id: 'u3', items: [] });
  expect((await run('similar', 'i3')).json).toEqual({ id: 'i3', items: [] });
});

it('nothing at all, and then something', async () => {
  const { run, runAll, events } = pipelineOn();
  await events(`SELECT 'u' AS "user", 'i' AS item WHERE false`);
  expect(
    await runAll(
      'ingest',
      'fold',
      'fit',
      'publish',
      'recommend u',
      'similar i',
      'forget u',
      'verify',
      'compact',
      'status',
    ),
  ).toEqual([
    'ingest: 0',
    'fold: 0',
    'fit: 1 STATE_EMPTY',
    'publish: 1 MODEL_UNKNOWN',
    'recommend u: 1 MODEL_UNKNOWN',
    'similar i: 1 MODEL_UNKNOWN',
    'forget u: 0',
    'verify: 0',
    'compact: 0',
    'status: 0',
  ]);
  await events(good);
  expect(await runAll('ingest', 'fit', 'publish', 'recommend u1')).toEqual([
    'ingest: 0',
    'fit: 0',
    'publish: 0',
    'recommend u1: 0',
  ]);
  const { json } = await run('status');
  expect(json).toMatchObject({ folded: 40, deadLetters: 0 });
  expect(json.runs.map((r: { job: string; status: string }) => `${r.job} ${r.status}`)).toEqual([
    'publish done',
    'refit done',
    'fresh done', // lists of the forgotten are looked for in the sinks
    'publish failed',
    'refit failed',
  ]);
});

it('everything taken back', async () => {
  const { runAll, events } = pipelineOn('gramian: { mode: stored }');
  await events(
    `SELECT 'u' || range % 3 AS "user", 'i' || range % 4 AS item, op, ts FROM range(12), (VALUES ('add', 1), ('remove', 2)) t(op, ts)`,
  );
  expect(await runAll('ingest', 'fold', 'verify', 'fit', 'recommend u1', 'status')).toEqual([
    'ingest: 0',
    'fold: 0',
    'verify: 0',
    'fit: 1 STATE_EMPTY',
    'recommend u1: 1 MODEL_UNKNOWN',
    'status: 0',
  ]);
});

describe('dead letters', () => {
  it('only: stops above the tolerance, keeps every row, and fits nothing', async () => {
    const { run, runAll, events } = pipelineOn('log: { level: warn }');
    await events(`SELECT '' AS "user", 'i' || range AS item FROM range(1500)`);
    const { code, json, stderr } = await run('ingest');
    expect([code, json.error.code]).toEqual([1, 'TOLERANCE_EXCEEDED']);
    expect(json.error.message).toBe(
      '1500 of 1500 records became dead letters, deadLetters.tolerance allows 0.5',
    );
    expect(stderr).toContain('"code":"user-missing","reason":"user is missing"');
    expect((await run('status')).json).toMatchObject({ inbox: 0, deadLetters: 1500, folded: 0 });
    expect(await runAll('ingest', 'fold', 'fit', 'status')).toEqual([
      'ingest: 0',
      'fold: 0',
      'fit: 1 STATE_EMPTY',
      'status: 0',
    ]);
  });

  it.each([
    ['0', 1, 1],
    ['2', 2, 0],
    ['2', 3, 1],
    ['0.1', 30, 0],
  ])('tolerance %s with %d of 40 bad: exit code %d', async (tolerance, bad, code) => {
    const { run, events } = pipelineOn(`deadLetters: { tolerance: ${tolerance} }`);
    await events(`SELECT if(range < ${bad}, NULL, 'u') AS "user", 'i' || range AS item FROM range(40)`);
    expect((await run('ingest')).code).toBe(code);
    expect((await run('status')).json).toMatchObject({ inbox: 40 - bad, deadLetters: bad });
  });

  it('every kind among good rows', async () => {
    const { directory, run, runAll } = pipelineOn(
      'semantics: { interactions: last }\ngramian: { mode: stored }',
      `{ type: duckdb, name: e, query: "FROM read_csv('events.csv', header = true, all_varchar = true)", batchSize: 7 }`,
    );
    const bad = [
      ',i1,1,add,',
      'u1,,1,add,',
      `${'x'.repeat(1 << 20)},i1,1,add,`,
      'u1,i1,NaN,add,',
      'u1,i1,-1,add,',
      'u1,i1,1e300,add,',
      'u2,i2,5242.89,add,',
      'u1,i1,0.0001,add,',
      'u1,i1,many,add,',
      'u1,i1,1,delete,',
      'u1,i1,1,add,yesterday',
      'u\ufffd1,i1,1,add,',
    ];
    const fine = [
      'u1,i1,1,add,2024-01-01',
      'u1,i2,0.5,,',
      'u2,i1,,set,1700000000000',
      'u2,i2,5000,add,',
      'u3,i3,0,add,',
      '😀,é,2,add,',
    ];
    const rows = [...bad, ...fine, ...bad, ...fine];
    writeFileSync(join(directory, 'events.csv'), `user,item,weight,op,ts\n${rows.join('\n')}\n`);
    const { code, json } = await run('ingest');
    expect([code, json]).toEqual([
      0,
      { events: 2 * fine.length, deadLetters: 2 * bad.length, pending: 2 * fine.length },
    ]);
    expect(await runAll('ingest', 'fold', 'fit', 'publish', 'recommend u1', 'similar i1', 'verify')).toEqual([
      'ingest: 0',
      'fold: 0',
      'fit: 0',
      'publish: 0',
      'recommend u1: 0',
      'similar i1: 0',
      'verify: 0',
    ]);
    expect((await run('status')).json).toMatchObject({
      inbox: 0,
      folded: 2 * fine.length,
      deadLetters: 2 * bad.length,
      users: 4,
      // nobody has i3, whose weight is 0
      items: 3,
    });
    expect((await run('recommend', '😀')).code).toBe(0);
  });
});

describe('sources that cannot be read', () => {
  it('Parquet cut short or overwritten: one error each time, and every row once it is whole', async () => {
    const { directory, run, events } = pipelineOn();
    const path = join(directory, 'events.parquet');
    const many = `SELECT 'u' || range % 500 AS "user", 'i' || range AS item FROM range(30000)`;
    await events(many);
    const whole = readFileSync(path);
    truncateSync(path, whole.length >> 1);
    for (let k = 0; k < 2; k++) {
      const { code, json } = await run('ingest');
      expect([code, json.error.code]).toEqual([1, 'SOURCE_UNREADABLE']);
      expect(json.error.message).toMatch(/^source e: .*events\.parquet/);
    }
    writeFileSync(path, Buffer.from(whole).fill(0x77, 1000, whole.length >> 1));
    expect((await run('ingest')).json.error.code).toBe('SOURCE_UNREADABLE');
    expect((await run('validate', '--sources')).code).toBe(1);
    const { inbox, deadLetters } = (await run('status')).json;
    writeFileSync(path, whole);
    expect((await run('ingest')).json).toMatchObject({ pending: 30_000 });
    expect([inbox, deadLetters]).toEqual([0, 0]);
  });

  it('a missing column, file or table; the commands after it go on', async () => {
    const { run, runAll, events } = pipelineOn();
    expect((await run('ingest')).json.error.message).toMatch(/No files found that match the pattern/);
    await events(`SELECT 'u' AS customer, 'i' AS item`);
    expect((await run('ingest')).json.error.message).toBe(
      'source e: expected the query to give a column user, found customer, item',
    );
    expect(await runAll('fold', 'fit', 'verify', 'status')).toEqual([
      'fold: 0',
      'fit: 1 STATE_EMPTY',
      'verify: 0',
      'status: 0',
    ]);
    await events(good);
    expect(await runAll('ingest', 'fit')).toEqual(['ingest: 0', 'fit: 0']);
  });

  it('one that cannot be read does not keep the next from being read', async () => {
    const { run, events } = pipelineOn(
      '',
      `{ type: duckdb, name: gone, query: "FROM 'absent.parquet'" }, { type: duckdb, name: e, query: "FROM 'events.parquet'" }`,
    );
    await events(good);
    const { code, json } = await run('ingest');
    expect([code, json.error.message]).toEqual([1, expect.stringMatching(/^source gone: /)]);
    expect((await run('status')).json).toMatchObject({ inbox: 40 });
  });

  it('rows that come too late are warned of and the rest is taken', async () => {
    const { directory, run } = pipelineOn(
      '',
      '{ type: duckdb, name: e, database: w.duckdb, query: FROM sales, cursor: line }',
    );
    const path = join(directory, 'w.duckdb');
    await runSql(
      path,
      `CREATE TABLE sales AS SELECT range AS line, 'u' AS "user", 'i' AS item FROM range(10, 20)`,
    );
    expect((await run('ingest')).stderr).not.toMatch(/"level":"warn"/);
    await runSql(path, `INSERT INTO sales VALUES (3, 'late', 'i'), (NULL, 'lost', 'i'), (30, 'u', 'j')`);
    const { code, json, stderr } = await run('ingest');
    expect([code, json.events]).toEqual([0, 1]);
    expect(stderr).toMatch(/"level":"warn".*"source":"e".*1 rows appeared with a line at or before 30/);
    expect(stderr).toMatch(/"level":"warn".*1 rows have no line: they are not taken/);
  });
});

describe('a state that is not what it should be', () => {
  it("names the damaged segment, and the state that is another's", async () => {
    const { directory, run, runAll, events } = pipelineOn('gramian: { mode: stored }');
    await events(good);
    expect(await runAll('ingest', 'fold', 'fit', 'verify')).toEqual([
      'ingest: 0',
      'fold: 0',
      'fit: 0',
      'verify: 0',
    ]);
    writeFileSync(join(directory, 'state', 'state.duckdb'), 'no database');
    const { code, json } = await run('status');
    expect([code, json.error.code]).toEqual([1, 'STATE_CORRUPT']);
    expect(json.error.message).toMatch(/state\.duckdb: expected a DuckDB file/);
  });

  it('refuses other semantics with exit code 2', async () => {
    const { directory, run, events } = pipelineOn();
    await events(good);
    await run('ingest');
    const file = join(directory, 'pipeline.yaml');
    writeFileSync(file, `${readFileSync(file, 'utf8')}semantics: { interactions: sum }\n`);
    const { code, json } = await run('fold');
    expect([code, json.error]).toEqual([
      2,
      expect.objectContaining({
        code: 'STATE_MISMATCH',
        message: expect.stringMatching(/made with binary, the configuration says sum/),
      }),
    ]);
  });
});

it('weights that only users without weights have room for: folds go on, a fit with user weights says so', async () => {
  const { directory, run, runAll, events } = pipelineOn(
    'semantics: { interactions: last }\ngramian: { mode: stored }',
  );
  const heavy = (from: number, to: number) =>
    events(`SELECT 'u' || r AS "user", unnest(['hot', 'i' || r]) AS item, 5242.88 AS weight
      FROM range(${from}, ${to}) t(r)`);
  await heavy(0, 14);
  expect(await runAll('ingest', 'fold', 'fit', 'verify')).toEqual([
    'ingest: 0',
    'fold: 0',
    'fit: 0',
    'verify: 0',
  ]);
  const file = join(directory, 'pipeline.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('density: 1', 'density: 1, userWeighting: 0.5'));
  await heavy(0, 17);
  expect(await runAll('ingest', 'fold', 'verify', 'fit')).toEqual([
    'ingest: 0',
    'fold: 0',
    'verify: 0',
    'fit: 1 OVERFLOW',
  ]);
  expect((await run('fit')).json.error.remedy).toMatch(/set `userWeighting` to 0/);
  // Three events more of `hot` have no room where users have weights.
  expect((await run('status')).json).toMatchObject({ deadLetters: 3 });
  expect(await runAll('fit --user-weighting 0')).toEqual(['fit --user-weighting 0: 0']);
});

describe('evaluate', () => {
  it('names the file and the column that is wrong', async () => {
    const directory = temporaryDirectory();
    const file = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const train = file('train.csv', 'user,item\n1,a\n1,b\n2,a\n2,b\n3,a\n');
    const test = file('test.csv', 'user,item\n3,b\nnew,a\n');
    const run = async (trainFile: string, testFile: string) => {
      const { code, stdout, stderr } = await runCli([
        'evaluate',
        '--train',
        trainFile,
        '--test',
        testFile,
        '--density',
        '1',
        '--json',
      ]);
      expect(stderr).not.toMatch(/^\s+at .*[:(]\d+/m);
      const json = JSON.parse(stdout);
      return json.error
        ? `${code} ${json.error.code} ${json.error.message.replaceAll(`${directory}/`, '')}`
        : json;
    };
    expect(await run(train, test)).toMatchObject({ users: 2, 'recall@20': 0.5 });
    const cases: [string, string, RegExp][] = [
      [
        join(directory, 'absent.csv'),
        test,
        /^1 SOURCE_UNREADABLE absent\.csv: expected a Parquet or CSV file, found none$/,
      ],
      [
        file('a.csv', 'customer,item\n1,2\n'),
        test,
        /^1 SOURCE_UNREADABLE a\.csv: expected columns user, item\[, weight\], found customer, item$/,
      ],
      [
        file('b.csv', 'user,item,weight\n1,a,1\n2,b,x\n'),
        test,
        /^1 DATA_INVALID b\.csv: column weight: expected numbers, found VARCHAR$/,
      ],
      [
        file('c.csv', 'user,item,weight\n1,a,1\n2,b,-1\n'),
        test,
        /^1 DATA_INVALID c\.csv: column weight: expected finite numbers ≥ 0, found 1 pairs/,
      ],
      [
        file('d.csv', 'user,item\n1,a\n,b\n'),
        test,
        /^1 DATA_INVALID d\.csv: columns user, item: expected a value in every row, found 1 pairs/,
      ],
      [
        file('e.csv', 'user,item,weight\n1,a,1\n2,b,9999999\n'),
        test,
        /^1 DATA_INVALID e\.csv: column weight: expected at most/,
      ],
      [file('f.csv', 'user,item\n'), test, /^1 DATA_INVALID f\.csv: expected interactions, found none$/],
      [file('g.parquet', 'PAR1 and no more PAR1'), test, /^1 SOURCE_UNREADABLE g\.parquet: /],
      [train, file('h.parquet', ''), /^1 SOURCE_UNREADABLE h\.parquet: .*too small/],
    ];
    for (const [trainFile, testFile, expected] of cases)
      expect(await run(trainFile, testFile)).toMatch(expected);
  });
});
