import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFilesSink, filesOptions } from '#connectors/files/sink.js';
import type { ListKind, RankedList } from '#src/contracts/index.js';
import { readSafetensors } from '#src/matrix/safetensors.js';
import { manifestOf } from '../../support/manifest.js';
import { leaseSuite, publishOn, ranked, sinkSuite } from '../../support/sink-suite.js';
import { type FoundVector, keepsVectors, writeVersion } from '../../support/vectors.js';

const sinkOn = (path: string, more: object = {}) =>
  createFilesSink(filesOptions.parse({ type: 'files', path, ...more }));

const pointer = async (path: string) => (await readFile(join(path, 'current'), 'utf8')).trim();

async function readNdjson(path: string, kind: ListKind, id: string): Promise<RankedList | undefined> {
  const text = await readFile(join(path, await pointer(path), `${kind}.ndjson`), 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  const lists = text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as RankedList);
  return lists.find(list => list.id === id);
}

async function readParquet(path: string, kind: ListKind, id: string): Promise<RankedList | undefined> {
  const file = join(path, await pointer(path), `${kind}.parquet`);
  const connection = await (await DuckDBInstance.create()).connect();
  const reader = await connection.runAndReadAll(
    `SELECT rank, item, score FROM read_parquet('${file}') WHERE id = $id`,
    { id },
  );
  connection.closeSync();
  const [ranks = [], items = [], scores = []] = reader.getColumnsJS() as [number[], string[], number[]];
  expect(ranks).toEqual(items.map((_, k) => k + 1));
  return items.length > 0 ? { id, items, scores } : undefined;
}

sinkSuite('ndjson files', path => sinkOn(path), { read: readNdjson });
sinkSuite('parquet files', path => sinkOn(path, { format: 'parquet' }), {
  read: readParquet,
  keepsEmptyLists: false,
});
leaseSuite('ndjson files', path => sinkOn(path, { leaseMs: 1000 }), { leaseMs: 1000, read: readNdjson });

describe.each(['safetensors', 'parquet'] as const)('vectors as %s', format => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "file's-"));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));
  const file = () => join(path, 'v1', `vectors.${format}`);

  async function readTensors(): Promise<[string, FoundVector][]> {
    const { tensors, metadata } = readSafetensors(file());
    const [count, rank] = JSON.parse(metadata.shape!) as [number, number];
    const of = (name: string) => Array.from(tensors.get(name)?.data ?? [], Number);
    const names = JSON.parse(Buffer.from(tensors.get('ids')!.data as Uint8Array).toString()) as string[];
    expect(names).toHaveLength(count);
    const ends = tensors.has('indptr') ? of('indptr') : Array.from({ length: count + 1 }, (_, r) => r * rank);
    const [values, indices, dimension] = [
      of(tensors.has('indptr') ? 'values' : 'vectors'),
      of('indices'),
      of('dimension'),
    ];
    return names.map((id, r) => [
      id,
      {
        values: values.slice(ends[r], ends[r + 1]),
        indices: tensors.has('indptr') ? indices.slice(ends[r], ends[r + 1]) : undefined,
        dimension: dimension[r] ?? -1,
      },
    ]);
  }
  async function readRows(): Promise<[string, FoundVector][]> {
    const connection = await (await DuckDBInstance.create()).connect();
    const reader = await connection.runAndReadAll(`FROM read_parquet('${file().replaceAll("'", "''")}')`);
    const found = reader.getRowObjectsJS() as Record<string, unknown>[];
    connection.closeSync();
    return found.map(row => [
      row.id as string,
      {
        values: (row.vector ?? row.values) as number[],
        indices: row.indices as number[] | undefined,
        dimension: (row.dimension as number | null) ?? -1,
      },
    ]);
  }

  it.each(['dense', 'sparse'] as const)('keeps %s ones until their item is forgotten', form =>
    keepsVectors(sinkOn(path, { vectors: format }), form, format === 'parquet' ? readRows : readTensors),
  );

  it('points at no version that lacks them', async () => {
    const sink = sinkOn(path, { vectors: format });
    await sink.connect();
    await writeVersion(sink, 'dense');
    if (format === 'parquet') await writeFile(file(), 'PAR1');
    else await rm(file());
    await expect(sink.point('v1')).rejects.toMatchObject({ message: /has 0 of its 4 vectors/ });
    await rm(file(), { force: true });
    await expect(sink.point('v1')).rejects.toMatchObject({ message: /has 0 of its 4 vectors/ });
    await sink.close();
  });
});

describe('files store', () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "file's-"));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  const publish = (version: string, more: object = {}) => publishOn(sinkOn(path, more), version, ['users']);

  it.each(['ndjson', 'parquet'] as const)('leaves the documented %s files and no others', async format => {
    await publish('v1', { format });
    expect((await readdir(path)).sort()).toEqual(['current', 'v1']);
    expect((await readdir(join(path, 'v1'))).sort()).toEqual([
      `items.${format}`,
      'manifest.json',
      `users.${format}`,
    ]);
    const manifest = JSON.parse(await readFile(join(path, 'v1', 'manifest.json'), 'utf8')) as unknown;
    expect(manifest).toEqual({
      ...manifestOf('v1'),
      lists: { users: 1, items: 0 },
      ...(format === 'parquet' ? { rows: { users: 1, items: 0 } } : {}),
    });
  });

  it('shows a version under its name only when it is finished', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    await sink.write('users', [ranked('x', ['a'])]);
    expect(existsSync(join(path, 'v1'))).toBe(false);
    await sink.finish();
    expect(existsSync(join(path, 'v1', 'manifest.json'))).toBe(true);
    await sink.close();
  });

  it('deletes what abandoned attempts left, of any version', async () => {
    await publish('v1');
    await mkdir(join(path, '.writing-v2'));
    await writeFile(join(path, '.writing-v2', 'users.ndjson'), '{"id":');
    await mkdir(join(path, '.leaving-v0'));
    await publish('v3');
    expect((await readdir(path)).sort()).toEqual(['current', 'v1', 'v3']);
  });

  it('leaves alone what is not its own, with a manifest or without', async () => {
    const foreign = ['extension/.git/HEAD', 'extension/.forgetting/notes', '.hidden/file', 'plain/file'];
    const manifests = {
      extension: '{"name":"mine","version":"1.0"}',
      broken: '{',
      list: '[]',
      other: '{"lists":{},"version":"v1"}',
    };
    for (const name of foreign) {
      await mkdir(join(path, name, '..'), { recursive: true });
      await writeFile(join(path, name), 'precious');
    }
    for (const [name, text] of Object.entries(manifests)) {
      await mkdir(join(path, name), { recursive: true });
      await writeFile(join(path, name, 'manifest.json'), text);
    }
    for (const version of ['v1', 'v2', 'v3']) await publish(version);
    const sink = sinkOn(path);
    await sink.connect();
    await sink.prune!(0);
    await sink.forget!({ users: ['x'], items: [] });
    expect((await sink.contents()).versions.map(v => v.version)).toEqual(['v3']);
    await expect(sink.point('extension')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await sink.close();
    for (const name of foreign) expect(await readFile(join(path, name), 'utf8')).toBe('precious');
    for (const [name, text] of Object.entries(manifests))
      expect(await readFile(join(path, name, 'manifest.json'), 'utf8')).toBe(text);
  });

  it('has nothing of dead processes left once it is connected, unless somebody is writing', async () => {
    await publish('v1');
    const left = [
      '.current-1',
      '.current.beta-1',
      '.leaving-v0',
      '.lease-1',
      '.writing-v2',
      'v1/.forgetting',
    ];
    const found = async () => (await readdir(path, { recursive: true })).filter(name => left.includes(name));
    for (const name of left.slice(0, 2)) await writeFile(join(path, name), 'v1\n');
    for (const name of left.slice(2)) await mkdir(join(path, name));
    const sink = sinkOn(path);
    await sink.contents();
    expect((await found()).sort()).toEqual([...left].sort());

    await mkdir(join(path, '.lease'));
    await writeFile(join(path, '.lease', 'owner'), 'somebody');
    await sink.connect();
    expect((await found()).sort()).toEqual([...left].sort());
    await sink.close();

    await rm(join(path, '.lease'), { recursive: true });
    await sink.connect();
    await sink.close();
    expect((await readdir(path)).sort()).toEqual(['current', 'v1']);
    expect(await found()).toEqual([]);
  });

  it.each(['ndjson', 'parquet'] as const)('tells in %s what fills up a list', async format => {
    const sink = sinkOn(path, { format });
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    await sink.write('users', [{ ...ranked('x', ['a', 'b', 'c']), fallback: 2 }]);
    await sink.finish();
    await sink.close();
    const file = join(path, 'v1', `users.${format}`);
    if (format === 'ndjson') {
      expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ id: 'x', fallback: 2 });
      return;
    }
    const connection = await (await DuckDBInstance.create()).connect();
    const rows = await connection.runAndReadAll(
      `SELECT fallback FROM read_parquet('${file.replaceAll("'", "''")}') ORDER BY rank`,
    );
    connection.closeSync();
    expect(rows.getRowsJS().flat()).toEqual([false, true, true]);
  });

  it('is not kept waiting by a publisher that died as it took the lease', async () => {
    // As that leaves it, now and in earlier releases.
    for (const left of ['.lease-1', '.lease']) {
      await mkdir(join(path, left));
      await publish(`v${left.length}`);
      expect((await readdir(path)).filter(name => name.startsWith('.'))).toEqual([]);
    }
  });

  it('points at no version that lacks lists', async () => {
    await publish('v1');
    await writeFile(join(path, 'v1', 'users.ndjson'), '');
    const sink = sinkOn(path);
    await sink.connect();
    await expect(sink.point('v1', 'candidate')).rejects.toMatchObject({
      message: expect.stringContaining('version v1 has 0 of its 1 lists of users'),
    });
    await sink.close();
  });

  it('points at no version whose Parquet files lack rows, also after a forgetting', async () => {
    const sink = sinkOn(path, { format: 'parquet' });
    for (const version of ['v1', 'v2']) {
      await sink.connect();
      await sink.begin(manifestOf(version));
      await sink.write('users', [ranked('x', ['a', 'b']), ranked('y', ['c'])]);
      await sink.finish();
      await sink.forget!({ users: version === 'v1' ? ['y'] : [], items: [] });
      await sink.point(version, version);
    }
    const file = (version: string) => join(path, version, 'users.parquet');
    const [first, second] = [await readFile(file('v1')), await readFile(file('v2'))];
    const refused = (version: string, found: string) =>
      expect(sink.point(version, 'candidate')).rejects.toMatchObject({
        message: expect.stringContaining(`version ${version} has ${found}`),
      });
    await writeFile(file('v2'), first);
    await refused('v2', '2 of its 3 rows of users');
    await writeFile(file('v1'), first.subarray(0, first.length - 9));
    await refused('v1', '0 of its 2 rows of users');
    await writeFile(file('v1'), second);
    await sink.point('v1', 'candidate');
    await rm(file('v1'));
    await refused('v1', '0 of its 1 lists of users');
    await sink.close();
  });

  it('escapes the line separators of Unicode, and forgets beside them', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    await sink.write('users', [ranked('a\u2028b', ['i\u2029', 'j']), ranked('gone', ['j'])]);
    await sink.finish();
    const read = () => readFile(join(path, 'v1', 'users.ndjson'), 'utf8');
    expect(await read()).toMatch(/^{"id":"a\\u2028b","items":\["i\\u2029","j"\]/);
    await sink.forget!({ users: ['gone'], items: ['j'] });
    expect(JSON.parse(await read())).toMatchObject({ id: 'a\u2028b', items: ['i\u2029'] });
    expect(await read()).toContain('\\u2028');
    await sink.close();
  });

  it('refuses a path that is a file', async () => {
    const file = join(path, 'plain');
    await writeFile(file, 'text');
    await expect(sinkOn(file).connect()).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });
});
