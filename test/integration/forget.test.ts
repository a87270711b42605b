/** What is left of a user when `forget` has ended, by all bytes of the state and the sinks, also after crashes inside. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Pipeline, PipelineOptions } from '#jobs/index.js';
import { refitStep } from '#jobs/steps.js';
import { openSegment } from '#src/gramian/segment.js';
import { readColumns } from '#src/gramian/sum.js';
import { failpoints } from '#src/runtime/failpoint.js';
import { runCli } from '../support/cli.js';
import { columnsOf } from '../support/events.js';
import { withPipeline } from '../support/with-pipeline.js';

const [user, own] = ['zq-forget-me-7731', 'zq-private-item-99'];
const root = mkdtempSync(join(tmpdir(), 'forget-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const items = (u: number): string[] => Array.from({ length: 6 }, (_, k) => `i${(u * 7 + k * k * 3) % 23}`);

/** Forty users and, in the middle of them, the one who is to be forgotten: she brings an item that nobody else has. */
function write(directory: string, with_: boolean): void {
  mkdirSync(directory, { recursive: true });
  const lines = ['user,item,weight,id,n'];
  let n = 1000;
  const add = (u: string, i: string, id: string) => lines.push(`${u},${i},${1 + (n % 3)},${id},${n++}`);
  for (let u = 0; u < 30; u++) for (const i of items(u)) add(`u${u}`, i, `e${n}`);
  if (with_) {
    for (const i of ['i1', own, 'i5', 'i9']) add(user, i, `e-${user}-${n}`);
    lines.push(`${user},i2,-1,bad-1,${n++}`, `,by-${user},1,bad-2,${n++}`);
  } else n += 6;
  for (let u = 30; u < 40; u++) for (const i of [...items(u), 'late']) add(`u${u}`, i, `e${n}`);
  writeFileSync(join(directory, 'e.csv'), `${lines.join('\n')}\n`);
}

type Kind = Pick<Required<PipelineOptions>, 'semantics' | 'gramian'>;
const optionsOf = (kind: Kind, sinks: PipelineOptions['sinks'] = []): PipelineOptions => ({
  state: 'state',
  ...kind,
  deadLetters: { tolerance: '100%' },
  sources: [{ type: 'duckdb', query: "SELECT * FROM read_csv('e.csv', all_varchar = true)", cursor: 'n' }],
  sinks,
  publish: { k: 5 },
});
const allSinks: PipelineOptions['sinks'] = [
  { type: 'files', path: 'feed' },
  { type: 'files', path: 'feedp', format: 'parquet' },
  { type: 'lmdb', path: 'feed.lmdb' },
  { type: 'duckdb', database: 'feed.duckdb' },
];

/** Files below a directory, but the source, whose bytes have a text. */
function filesWith(directory: string, text: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name !== 'e.csv')
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => readFileSync(path).includes(text));
}

/** Segments all of whose entries are of her items: her history, or minus it. */
function histories(directory: string, keys: readonly string[]): string[] {
  const hers = new Set(['i1', own, 'i5', 'i9']);
  const gramian = join(directory, 'state', 'gramian');
  return (existsSync(gramian) ? readdirSync(gramian) : []).filter(file => {
    const segment = openSegment(join(gramian, file));
    const { indices } = readColumns(segment, 0, segment.n);
    segment.close();
    return indices.length > 0 && [...indices].every(i => hers.has(keys[i]!));
  });
}

const weightsOf = (p: Pipeline, version: string): string =>
  createHash('sha256')
    .update(readFileSync(p.weightsPath(version)))
    .digest('hex');

const kinds: readonly [string, Kind][] = (['stored', 'implicit'] as const).flatMap(mode =>
  (['binary', 'sum'] as const).map((interactions): [string, Kind] => [
    `${mode} ${interactions}`,
    { gramian: { mode }, semantics: { interactions } },
  ]),
);

describe.each(kinds)('%s', (name, kind) => {
  it('has no trace of her, and a later fit is that of a state that never saw her', async () => {
    const [a, b] = [join(root, name, 'a'), join(root, name, 'b')];
    write(a, true);
    write(b, false);
    const options = optionsOf(kind, allSinks);
    await withPipeline(a, options, async p => {
      await p.ingest();
      await p.fold();
      await refitStep(p, { trigger: 'one' });
      const { version } = await p.publish();
      appendFileSync(join(a, 'e.csv'), `u1,i7,1,x-${user},9000\n${user},i7,1,e-${user}-z,9001\n`);
      await refitStep(p, { trigger: 'two' }, { l2: 30 });
      await p.publish({ alias: 'candidate' });
      await p.ingest();
      await p.parts.store.claimSignal('s', {
        id: 'one',
        type: 'forget',
        options: { user },
        requestedAt: 1,
      });
      const unreadable = (raw: string, sequence: number) => ({
        partition: 'p',
        sequence,
        code: 'value-malformed',
        reason: 'not JSON',
        raw,
      });
      const bytes = Buffer.from(`\xff${user}\xff`, 'latin1').toString('base64');
      const dead = [`base64:${bytes}`, `{"user":"x${user}x`, 'of another'].map(unreadable);
      const position = { partition: 'p', sequence: 2 };
      await p.parts.store.append('topic', [{ events: columnsOf([], 0), dead, position }]);
      expect(filesWith(a, user).length).toBeGreaterThan(3);
      expect(filesWith(a, own).length).toBeGreaterThan(5);

      const receipt = await p.forget(user);
      expect(receipt).toMatchObject({
        users: 1,
        events: 1,
        interactions: 4,
        deadLetters: 4,
        eventIds: 5,
        items: 1,
        modelsRewritten: receipt.influenced,
        sinks: ['files', 'files', 'lmdb', 'duckdb'].map(sink => ({ name: sink, deleted: 4 })),
      });
      expect(receipt.influenced).toHaveLength(2);
      expect(filesWith(a, user)).toEqual([]);
      expect(filesWith(a, own)).toEqual([]);
      expect(histories(a, await p.parts.store.itemKeys())).toEqual([]);
      expect(await p.receipts(user)).toEqual([receipt]);
      expect(await p.verify()).toMatchObject({ differing: 0, broken: [] });
      await p.rollback({ alias: 'candidate', to: version });
      await p.withSinks(async sinks => {
        for (const sink of sinks) {
          expect(await sink.get?.('users', user, 'candidate')).toBeUndefined();
          if (sink.get) expect((await sink.get('users', 'u1'))?.items.length).toBeGreaterThan(0);
        }
      });
      expect((await p.recommend('u5', 5)).items).toHaveLength(5);
      expect(await p.forget(user)).toMatchObject({ users: 0, events: 0, interactions: 0, deadLetters: 0 });
    });
    appendFileSync(join(b, 'e.csv'), 'u1,i7,1,x1,9000\n');
    const fitted = async (directory: string) =>
      withPipeline(directory, optionsOf(kind), async p => {
        await p.ingest();
        await p.fold();
        const version = await refitStep(p, { trigger: 'later' });
        return [
          weightsOf(p, version),
          (await p.manifestOf(version)).items,
          (await p.recommend('u5', 5)).items,
        ];
      });
    expect(await fitted(a)).toEqual(await fitted(b));
    expect(filesWith(a, user)).toEqual([]);
  });
});

describe('a process that dies while it forgets', () => {
  const kind: Kind = { gramian: { mode: 'stored' }, semantics: { interactions: 'binary' } };
  const options = optionsOf(kind, allSinks);
  const from = join(root, 'begun');
  const config = join('p.yaml');

  it.each(failpoints.filter(point => point.startsWith('forget:')))('%s', async point => {
    if (!existsSync(from)) {
      write(from, true);
      writeFileSync(join(from, config), JSON.stringify(options));
      await withPipeline(from, options, async p => {
        await p.ingest();
        await p.fold();
        await refitStep(p, { trigger: 'one' });
        await p.publish();
      });
    }
    const directory = join(root, point.replace(':', '-'));
    cpSync(from, directory, { recursive: true });
    const env = { SANSA_STREAM_CRASH_AT: point };
    const dead = await runCli(['forget', user, '-c', config], { cwd: directory, env });
    expect(dead.code, dead.stderr).toBeNull();
    const keys = readdirSync(join(directory, 'state', 'models')).flatMap(
      version =>
        JSON.parse(
          readFileSync(join(directory, 'state', 'models', version, 'items.json'), 'utf8'),
        ) as string[],
    );
    expect(histories(directory, keys)).toEqual([]);
    await withPipeline(directory, options, async p => {
      expect(filesWith(directory, user)).toEqual([]);
      expect(filesWith(directory, own)).toEqual([]);
      expect(await p.receipts(user)).toMatchObject([{ users: 1, interactions: 4, items: 1 }]);
      expect(await p.parts.store.pendingErasures()).toEqual([]);
      expect(await p.verify()).toMatchObject({ differing: 0, broken: [] });
      expect((await p.recommend('u5', 5)).items).toHaveLength(5);
      const counts = await p.withSinks(sinks => Promise.all(sinks.map(sink => sink.versions())));
      const inFile = (kind: string) => {
        const version = readFileSync(join(directory, 'feed', 'current'), 'utf8').trim();
        return (
          readFileSync(join(directory, 'feed', version, `${kind}.ndjson`), 'utf8').split('\n').length - 1
        );
      };
      const lists = { users: inFile('users'), items: inFile('items') };
      expect(lists.users).toBe(40);
      expect(counts).toMatchObject(allSinks.map(() => [{ lists }]));
      expect(readdirSync(join(directory, 'state')).sort()).toEqual(
        expect.arrayContaining(['gramian', 'models', 'state.duckdb']),
      );
    });
  });
});
