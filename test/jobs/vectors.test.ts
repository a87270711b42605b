/** A compressed ELSA model of a state: lists from its vectors, its segments, and their publication. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readVectors } from '#connectors/files/vectors.js';
import { createPipeline, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { servingLoss } from '#src/evaluate/serving-loss.js';
import type { FitReport } from '#src/fit/fit.js';
import { loadModel } from '#src/model/weights-file.js';
import { distance, fromCsr } from '../support/dense.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

// u31 alone has the item "own".
const table = `CREATE TABLE events AS SELECT range AS line, 'u' || range % 31 AS "user",
  'i' || (range * 7 + range // 31) % 23 AS item, range AS ts FROM range(400)
  UNION ALL SELECT 400 + range, 'u31', 'i' || range, range FROM range(4) UNION ALL SELECT 404, 'u31', 'own', 404`;

const files = { type: 'files', path: 'feeds' } as const;
const lmdb = { type: 'lmdb', path: 'feeds.lmdb' } as const;

async function withModel<T>(
  options: PipelineOptions,
  use: (p: Pipeline, directory: string) => Promise<T>,
): Promise<T> {
  const directory = temporaryDirectory();
  await runSql(join(directory, 'w.duckdb'), table);
  const pipeline = await createPipeline(
    {
      sources: [{ type: 'duckdb', database: 'w.duckdb', query: 'SELECT * FROM events', cursor: 'line' }],
      gramian: { mode: 'implicit' },
      ...options,
    },
    { baseDirectory: directory },
  );
  try {
    await pipeline.ingest();
    await pipeline.fold();
    await refitStep(pipeline, { trigger: 'test' });
    return await use(pipeline, directory);
  } finally {
    await pipeline.close();
  }
}

const compressed = { solver: 'compressed-elsa', rank: 8, kept: 2, steps: 4, serving: 1 } as const;
const vectors = { k: 5, vectors: true } as const;

it('similar and recommend score by the sparse vectors, and segments have names', () =>
  withModel({ fit: compressed }, async p => {
    const { version } = await p.manifestOf();
    const model = loadModel(p.weightsPath(version));
    const keys = await p.parts.store.itemKeys();
    const item = 4;
    const { encoder, decoder } = model;
    const scores = new Map<string, number>();
    for (let e = encoder.indptr[item]!; e < encoder.indptr[item + 1]!; e++)
      for (let f = decoder.indptr[encoder.indices[e]!]!; f < decoder.indptr[encoder.indices[e]! + 1]!; f++) {
        const key = keys[decoder.indices[f]!]!;
        scores.set(key, (scores.get(key) ?? 0) + encoder.data[e]! * decoder.data[f]!);
      }
    scores.delete(keys[item]!);
    const { items } = await p.similar(keys[item]!, 50);
    expect(new Set(items)).toEqual(new Set(scores.keys())); // the serving matrix has one an item
    expect((await p.recommend('u3', 50)).items.length).toBeGreaterThan(5);

    const { fit } = await p.manifestOf();
    for await (const { rows } of p.parts.store.histories(4096))
      expect((fit as FitReport).servingLoss).toBe(servingLoss(model, rows));
    expect((fit as FitReport).servingLoss).not.toBe(0);

    const segments = await p.segments(3);
    expect(segments.map(s => s.dimension)).toEqual([...model.dimensions!].map(i => keys[i]));
  }));

it('a model whose dimensions are no items has no segments', () =>
  withModel({ fit: { solver: 'elsa', rank: 4, steps: 2 } }, async p => {
    await expect(p.segments(3)).rejects.toMatchObject({ code: 'USAGE' });
  }));

it.each([
  ['elsa', { solver: 'elsa', rank: 4, steps: 2, inputPower: 0.2 }],
  ['compressed-elsa', compressed],
] as const)(
  'publishes the vectors of %s, of unit norm, and forgets those of items that only a user had',
  (solver, fit) =>
    withModel({ fit, publish: vectors, sinks: [files, lmdb] }, async (p, directory) => {
      const { version } = await p.publish();
      const path = join(directory, 'feeds', version, 'vectors.safetensors');
      const model = loadModel(p.weightsPath(version));
      const A = fromCsr(model.encoder).map(row => row.map(a => a / Math.max(Math.hypot(...row), 1e-9)));
      const found = () => [...readVectors(path)];
      const [batch] = found();
      expect(batch!.ids).toEqual(await p.parts.store.itemKeys());
      batch!.ids.forEach((_, i) => {
        const row = new Array<number>(model.encoder.columns).fill(0);
        for (let e = batch!.indptr[i]!; e < batch!.indptr[i + 1]!; e++)
          row[batch!.indices ? batch!.indices[e]! : e - batch!.indptr[i]!] = batch!.values[e]!;
        expect(distance([row], [A[i]!])).toBeLessThan(1e-6);
        if (solver === 'compressed-elsa')
          expect(batch!.dimensions![i]).toBe([...model.dimensions!].indexOf(i));
      });
      expect(await p.publish()).toMatchObject({ version, sinks: [{ written: 0 }, { written: 0 }] });
      const shapes = await p.withSinks(sinks =>
        Promise.all(sinks.map(async s => (await s.versions())[0]!.vectors)),
      );
      expect(shapes[0]).toMatchObject({ count: 24 });
      expect(shapes[1]).toBeUndefined();

      await p.forget('u31');
      expect(found()[0]!.ids).toEqual(batch!.ids.filter(id => id !== 'own'));
    }),
);

it.each([
  [
    'a solver without vectors',
    { fit: { solver: 'icf' }, sinks: [files] },
    /expected a model of elsa or compressed-elsa, found one of icf/,
  ],
  ['sinks that keep none', { fit: compressed, sinks: [lmdb] }, /expected a sink that keeps vectors/],
] as const)('refuses %s', (_, options, message) =>
  withModel({ ...options, publish: vectors } as unknown as PipelineOptions, async p => {
    await expect(p.publish()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message });
  }),
);
