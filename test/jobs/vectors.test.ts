/** A compressed ELSA model of a state: lists from its vectors, its segments, and their publication. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { loadModel } from '#src/model/weights-file.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

const table = `CREATE TABLE events AS SELECT range AS line, 'u' || range % 31 AS "user",
  'i' || (range * 7 + range // 31) % 23 AS item, range AS ts FROM range(400)`;

const options = (fit: PipelineOptions['fit']): PipelineOptions => ({
  sources: [{ type: 'duckdb', database: 'w.duckdb', query: 'SELECT * FROM events', cursor: 'line' }],
  sinks: [{ type: 'files', path: 'feeds' }],
  gramian: { mode: 'implicit' },
  fit,
});

async function withModel<T>(fit: PipelineOptions['fit'], use: (p: Pipeline) => Promise<T>): Promise<T> {
  const directory = temporaryDirectory();
  await runSql(join(directory, 'w.duckdb'), table);
  const pipeline = await createPipeline(options(fit), { baseDirectory: directory });
  try {
    await pipeline.ingest();
    await pipeline.fold();
    await refitStep(pipeline, { trigger: 'test' });
    return await use(pipeline);
  } finally {
    await pipeline.close();
  }
}

it('similar and recommend score by the sparse vectors, and segments have names', () =>
  withModel({ solver: 'compressed-elsa', rank: 8, kept: 2, steps: 4, serving: 1 }, async p => {
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

    const segments = await p.segments(3);
    expect(segments.map(s => s.dimension)).toEqual([...model.dimensions!].map(i => keys[i]));
  }));

it('a model whose dimensions are no items has no segments', () =>
  withModel({ solver: 'elsa', rank: 4, steps: 2 }, async p => {
    await expect(p.segments(3)).rejects.toMatchObject({ code: 'USAGE' });
  }));
