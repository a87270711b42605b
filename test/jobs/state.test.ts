/**
 * Files of a state: what is not ours is left alone, what the state has let go of is removed, what it does not know is
 * set aside; a file that is not what was registered is refused by its name, and nothing is made of it.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { silent } from '#src/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

const options: PipelineOptions = {
  gramian: { mode: 'stored' },
  sources: [{ type: 'duckdb', database: 'w.duckdb', query: 'FROM events', cursor: 'line' }],
  sinks: [{ type: 'files', path: 'feeds' }],
  fit: { density: 0.5 },
};

/** Opens the pipeline of a directory, with what it warned of. */
async function opened<T>(directory: string, use: (p: Pipeline, warned: object[]) => Promise<T>): Promise<T> {
  const warned: object[] = [];
  const log = { ...silent, warn: (fields: object) => void warned.push(fields) };
  const pipeline = await createPipeline(options, { baseDirectory: directory, log });
  try {
    return await use(pipeline, warned);
  } finally {
    await pipeline.close();
  }
}

/** A state with a model and two segments. */
async function made(): Promise<{ directory: string; state: string; version: string }> {
  const directory = temporaryDirectory();
  await runSql(
    join(directory, 'w.duckdb'),
    `CREATE TABLE events AS SELECT range AS line, 'u' || range % 31 AS "user",
       'i' || (range * 7 + range // 31) % 23 AS item FROM range(400)`,
  );
  const version = await opened(directory, async p => {
    await p.ingest();
    await p.fold();
    const fitted = await refitStep(p, { trigger: 'test' });
    await runSql(
      join(directory, 'w.duckdb'),
      "INSERT INTO events VALUES (400, 'u1', 'new'), (401, 'u2', 'new')",
    );
    await p.ingest();
    await p.fold();
    expect(await p.parts.store.segments()).toHaveLength(2);
    return fitted;
  });
  return { directory, state: join(directory, 'state'), version };
}

const flip = (path: string): void => {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
};

const corrupt = (file: string) => ({
  code: 'STATE_CORRUPT',
  message: expect.stringContaining(file),
});

it('leaves foreign files alone, removes unfinished and retired ones, and sets others aside', async () => {
  const { directory, state, version } = await made();
  const own = readdirSync(join(state, 'gramian'));
  const unknown = '11111111-1111-4111-8111-111111111111.safetensors';
  const retired = '22222222-2222-4222-8222-222222222222.safetensors';
  for (const name of ['thesis.tex', `${unknown}.tmp`, unknown, retired])
    writeFileSync(join(state, 'gramian', name), name);
  for (const name of [
    'my-llm',
    '.fit-17-1700000000000',
    '20260101-120000000-abcd',
    '20250101-120000000-abcd',
  ]) {
    mkdirSync(join(state, 'models', name));
    writeFileSync(join(state, 'models', name, 'precious.bin'), name);
  }
  await runSql(
    join(state, 'state.duckdb'),
    `INSERT INTO retired VALUES ('${retired}'), ('20250101-120000000-abcd'), ('${version}')`,
  );
  await opened(directory, async (p, warned) => {
    expect(warned).toEqual([
      { files: [unknown, '20260101-120000000-abcd'], directory: join(state, 'aside') },
    ]);
    expect(await p.verify()).toMatchObject({ differing: 0, broken: [] });
    expect(await p.parts.store.retired()).toEqual([]);
  });
  expect(readdirSync(join(state, 'gramian')).sort()).toEqual([...own, 'thesis.tex'].sort());
  expect(readdirSync(join(state, 'models')).sort()).toEqual([version, 'my-llm'].sort());
  expect(readdirSync(join(state, 'aside')).sort()).toEqual([unknown, '20260101-120000000-abcd']);
  await opened(directory, async (_, warned) => expect(warned).toEqual([]));
});

it('keeps the files that a database knew before it was put back to an earlier one', async () => {
  const { directory, state, version } = await made();
  const earlier = join(directory, 'earlier.duckdb');
  copyFileSync(join(state, 'state.duckdb'), earlier);
  const newer = await opened(directory, async p => {
    await p.compact();
    return refitStep(p, { trigger: 'later' });
  });
  const bytes = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
  const weights = bytes(join(state, 'models', newer, 'weights.safetensors'));
  copyFileSync(earlier, join(state, 'state.duckdb'));
  await opened(directory, async (p, warned) => {
    expect((await p.parts.store.models()).map(m => m.version)).toEqual([version]);
    expect(warned).toHaveLength(1);
  });
  expect(bytes(join(state, 'aside', newer, 'weights.safetensors'))).toBe(weights);
  expect(readdirSync(join(state, 'aside'))).toHaveLength(2);
});

it('leaves a compaction, a fold, a check and an erasure when it is told to, and nothing of them', async () => {
  const directory = temporaryDirectory();
  await runSql(
    join(directory, 'w.duckdb'),
    `CREATE TABLE events AS SELECT range AS line, 'u' || range // 1500 AS "user", 'i' || range % 1500 AS item FROM range(30000)`,
  );
  await opened(directory, async p => {
    const gramian = join(directory, 'state', 'gramian');
    const files = () => readdirSync(gramian).sort();
    const more = async (from: number, count: number) => {
      await runSql(
        join(directory, 'w.duckdb'),
        `INSERT INTO events SELECT range, 'v' || range // 1500, 'i' || range % 1500 FROM range(${from}, ${from + count})`,
      );
      await p.ingest();
    };
    await p.ingest();
    await p.fold();
    const first = files();
    await more(30_000, 30_000);
    /** Aborts `step` when it writes a file, or at once, and expects that it ends so and that all is as before. */
    const left = async (step: (signal: AbortSignal) => Promise<unknown>, writes = true) => {
      const before = files();
      const stop = new AbortController();
      const ended = expect(step(stop.signal)).rejects.toMatchObject({ code: 'INTERRUPTED' });
      while (writes && files().length === before.length) await new Promise(resolve => setImmediate(resolve));
      stop.abort();
      await ended;
      expect(files()).toEqual(before);
    };
    await left(signal => p.fold(signal));
    expect([files(), await p.parts.store.pending()]).toEqual([first, 30_000]);
    await left(signal => p.verify(signal), false);
    await left(signal => p.forget('u0', signal));
    await p.fold();
    await more(60_000, 2);
    await p.fold();
    await left(signal => p.compact(signal));
    expect(await p.verify()).toMatchObject({ differing: 0, broken: [] });
  });
});

it('refuses a damaged segment by its name: no fit, no compaction, and the files stay', async () => {
  const { directory, state } = await made();
  const file = await opened(directory, async p => (await p.parts.store.segments())[1]!.file);
  flip(join(state, 'gramian', file));
  await opened(directory, async p => {
    await expect(refitStep(p, { trigger: 'test-2' })).rejects.toMatchObject(corrupt(file));
    await expect(p.compact()).rejects.toMatchObject(corrupt(file));
    expect(await p.parts.store.segments()).toHaveLength(2);
    expect((await p.verify()).broken).toEqual([join(state, 'gramian', file)]);
  });
});

it.each([
  ['weights.safetensors', flip],
  ['items.json', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').replace('"i2"', '"j2"'))],
  [
    'manifest.json',
    (path: string) =>
      writeFileSync(path, readFileSync(path, 'utf8').replace(/("weightsChecksum": ")[0-9a-f]{4}/, '$1beef')),
  ],
] as const)(
  'refuses a model whose %s is not what was registered: nothing is published',
  async (file, damage) => {
    const { directory, state, version } = await made();
    damage(join(state, 'models', version, file));
    await opened(directory, async p => {
      await expect(p.publish()).rejects.toMatchObject(corrupt(join(version, file)));
      await expect(p.recommend('u3', 5)).rejects.toMatchObject(corrupt(join(version, file)));
      expect((await p.verify()).broken).toEqual([join(state, 'models', version, file)]);
      expect((await p.parts.store.models()).map(m => m.published)).toEqual([false]);
    });
  },
);

it.each(['weights.safetensors', 'items.json'])(
  'makes nothing of a damaged %s when a user is forgotten, and forgets her',
  async damaged => {
    const { directory, state } = await made();
    const version = await opened(directory, async p => {
      await runSql(
        join(directory, 'w.duckdb'),
        "INSERT INTO events VALUES (402, 'her', 'hers'), (403, 'her', 'i1')",
      );
      await p.ingest();
      return refitStep(p, { trigger: 'test-2' });
    });
    const file = (name: string) => join(state, 'models', version, name);
    if (damaged === 'items.json')
      writeFileSync(file(damaged), readFileSync(file(damaged), 'utf8').replace('"i2"', '"j2"'));
    else flip(file(damaged));
    await opened(directory, async p => {
      const before = await p.parts.store.models();
      expect(await p.forget('her')).toMatchObject({ users: 1, items: 1 });
      const { manifest } = (await p.parts.store.models()).at(-1)!;
      expect(existsSync(file(damaged))).toBe(false);
      if (damaged === 'items.json') {
        expect(manifest.items.checksum).toBe(before.at(-1)!.manifest.items.checksum);
        return;
      }
      expect(manifest.weightsChecksum).toBe(before.at(-1)!.manifest.weightsChecksum);
      await expect(p.publish()).rejects.toMatchObject(corrupt(join(version, damaged)));
      expect(readFileSync(file('items.json'), 'utf8')).not.toContain('hers');
    });
    expect(await opened(directory, p => p.parts.store.pendingErasures())).toEqual([]);
  },
);

it('names the models that a user is in, and none for somebody who is in none', async () => {
  const { directory, version } = await made();
  await opened(directory, async p => {
    expect(await p.forget('nobody')).toMatchObject({ users: 0, interactions: 0, influenced: [] });
    expect(await p.forget('u3')).toMatchObject({ users: 1, influenced: [version] });
  });
});

it('opens a state whose damage keeps an erasure from its end, and says so', async () => {
  const { directory, state } = await made();
  const file = await opened(directory, async p => (await p.parts.store.segments())[1]!.file);
  flip(join(state, 'gramian', file));
  await opened(directory, p => expect(p.forget('u3')).rejects.toMatchObject(corrupt(file)));
  await opened(directory, async (p, warned) => {
    expect(warned).toEqual([{ err: expect.stringContaining(file) }]);
    expect(await p.parts.store.pendingErasures()).toHaveLength(1);
    await p.ingest();
  });
});
