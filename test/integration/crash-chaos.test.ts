/** A short round of `npm run chaos -- crash`, and that what it is made of can fail. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { betweenFaults, finalFaults, stateFaults } from '../chaos/crash/checks.js';
import type { Feeds } from '../chaos/crash/feeds.js';
import { Journal, makeRows, meanings, type Row } from '../chaos/crash/journal.js';
import { scenarios } from '../chaos/crash/scenarios.js';
import { compileShim, readReport, type Strike, shimEnvironment } from '../chaos/crash/shim.js';
import { temporaryDirectory } from '../support/directory.js';
import { seeded } from '../support/random.js';

const compiler = (() => {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return process.platform === 'linux';
  } catch {
    return false;
  }
})();

/** Runs a script that writes 1000 bytes to `a`, renames it to `b` and makes `c`; returns how it ended. */
function struck(directory: string, strike?: Strike) {
  const report = join(directory, 'report');
  const script = `const fs = require('node:fs'); process.chdir(${JSON.stringify(directory)});
    fs.writeFileSync('a', 'x'.repeat(1000)); fs.renameSync('a', 'b'); fs.mkdirSync('c');`;
  const env = shimEnvironment(compileShim(directory), { directory, report, strike });
  const { signal } = spawnSync(process.execPath, ['-e', script], { env: { ...process.env, ...env } });
  return { signal, ...readReport(report) };
}

describe.skipIf(!compiler)('processes that die', () => {
  it('counts what changes files, and nothing else', () => {
    expect(struck(temporaryDirectory())).toEqual({ signal: null, operations: 4, died: '' });
  });

  it.each([
    ['before', 2, 0],
    ['torn', 2, 500],
    ['torn', 1, 500],
    ['after', 2, 1000],
  ] as const)('%s operation %i, %i bytes are there', (how, at, bytes) => {
    const directory = temporaryDirectory();
    const { signal, died } = struck(directory, { how, at });
    expect(signal).toBe('SIGKILL');
    expect(died).toMatch(/^p?write\S* of 1000 bytes, a$/);
    expect(statSync(join(directory, 'a')).size).toBe(bytes);
    expect(existsSync(join(directory, 'b'))).toBe(false);
  });

  it('before or after a file has its name', () => {
    const [before, after] = [temporaryDirectory(), temporaryDirectory()];
    struck(before, { how: 'before', at: 3 });
    expect(existsSync(join(before, 'a'))).toBe(true);
    struck(after, { how: 'after', at: 3 });
    expect(readFileSync(join(after, 'b'), 'utf8')).toHaveLength(1000);
    expect(existsSync(join(after, 'c'))).toBe(false);
  });

  it('a short round finds nothing', { timeout: 600_000 }, async () => {
    const args = ['dist/test/chaos/chaos.js', 'crash', '--kills', '7', '--seed', '44', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args).catch(error => error);
    const result = JSON.parse(stdout);
    expect(result.found).toEqual([]);
    expect(result).toMatchObject({ violations: 0 });
    expect(result.kills).toBeGreaterThanOrEqual(7);
    expect(result.checks).toBeGreaterThan(result.kills);
  });
});

const row = (n: number, rest: Partial<Row>): Row => ({
  n,
  user: 'u1',
  item: 'i1',
  weight: 2,
  op: 'add',
  ts: n,
  id: '',
  ...rest,
});

describe('what must be there', () => {
  it.each([
    ['binary', 1],
    ['last', 150],
    ['sum', 4],
    ['capped', 3],
  ] as const)('under %s, the newest event or the sum since the newest `set`', (meaning, value) => {
    const rows = [
      row(0, { weight: 9, id: 'once' }),
      row(1, { op: 'set', weight: 1, ts: 5 }),
      row(2, { op: 'remove', weight: 3, ts: 4 }),
      row(3, { weight: 9, id: 'once' }),
      row(4, { weight: 1.5, ts: 6 }),
      row(5, { user: '' }),
    ];
    if (meaning !== 'last') rows[4] = row(4, { weight: 3, ts: 6 });
    const journal = new Journal(meaning).take(rows);
    expect(journal.dead).toEqual([5]);
    expect(journal.matrix(5)).toEqual(new Map([['u1 i1', value]]));
    expect(journal.forget('u1', 2).matrix(5)).toEqual(new Map());
    expect(journal.length).toBe(2);
  });

  it('rows of every kind are drawn', () => {
    const rows = meanings.flatMap(meaning => makeRows(seeded(1), meaning, 0, 300));
    expect(new Set(rows.map(r => r.op))).toEqual(new Set(['add', 'remove', 'set']));
    expect(rows.some(r => r.user === '')).toBe(true);
    expect(rows.length - new Set(rows.map(r => `${r.n} ${r.id}`)).size).toBeGreaterThan(0);
  });
});

describe('what is noticed', () => {
  const rows = Array.from({ length: 6 }, (_, n) => row(n, { item: `i${n}` }));
  const world = {
    meaning: 'sum',
    directory: '',
    rows,
    position: 3,
    folded: 2,
    models: 0,
    feeds: new Map(),
  } as const;
  const fold = scenarios.find(s => s.name === 'fold')!;
  const look = {
    position: 3,
    folded: 3,
    inbox: 1,
    segments: 1,
    models: 0,
    dead: [],
    matrix: new Map([0, 1, 2].map(n => [`u1 i${n}`, 2])),
    faults: [],
    says: new Map(),
  };

  it('an event that is lost or doubled, and a position that went back', () => {
    expect(stateFaults(look, world, fold, false)).toEqual([]);
    const doubled = { ...look, matrix: new Map([...look.matrix, ['u1 i2', 4]]) };
    expect(stateFaults(doubled, world, fold, false)).toEqual([
      '1 of 3 interactions: for u1 i2, expected 2, found 4',
    ]);
    expect(stateFaults({ ...look, inbox: 0 }, world, fold, false)).toHaveLength(1);
    expect(stateFaults({ ...look, position: 2, inbox: 0 }, world, fold, false)).toContain(
      'expected position 3, found 2',
    );
  });

  const feeds = (users: Record<string, string>, champion = 'v1', rest: string[] = []): Feeds =>
    new Map(
      ['lmdb', 'files'].map(name => [
        name,
        {
          champion,
          versions: new Map([['v1', { users: new Map(Object.entries(users)), items: new Map() }]]),
          empty: new Map(),
          rest,
        },
      ]),
    );

  it('a list that is neither old nor new, or missing', () => {
    const [old, next] = [feeds({ a: 'x', b: 'y' }), feeds({ a: 'x z', b: 'y' })];
    expect(betweenFaults(old, old, next)).toEqual([]);
    expect(betweenFaults(old, next, next)).toEqual([]);
    expect(betweenFaults(old, feeds({ a: 'z', b: 'y' }), next)).toHaveLength(2);
    expect(betweenFaults(old, feeds({ a: 'x' }), next)).toHaveLength(2);
  });

  it('what is left behind, and who has no list', () => {
    const expected = { users: new Set(['a', 'b']), items: new Set<string>() };
    expect(finalFaults(feeds({ a: 'x', b: 'y' }), 'v1', expected)).toEqual([]);
    expect(finalFaults(feeds({ a: 'x' }), 'v1', expected)).toHaveLength(2);
    expect(finalFaults(feeds({ a: 'x', b: 'y', c: 'z' }), 'v1', expected)).toHaveLength(2);
    expect(finalFaults(feeds({ a: 'x', b: 'y' }, 'v1', ['a lease']), 'v1', expected)).toHaveLength(2);
    expect(finalFaults(feeds({ a: 'x', b: 'y' }), 'v2', expected).length).toBeGreaterThan(0);
  });
});
