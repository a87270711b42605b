import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSplit } from '../../connectors/duckdb/split.js';
import { fit } from '../../src/fit/fit.js';
import { loadInteractions } from '../../src/gramian/interactions.js';
import { zeroDense } from '../../src/matrix/dense.js';
import type { Rows } from '../../src/matrix/rows.js';
import { Arena } from '../../src/runtime/arena.js';
import { Threads } from '../../src/runtime/threads.js';
import { lossAndGradient, openPasses } from '../../src/solvers/elsa/gradient.js';
import { fitOptions } from '../../src/solvers/index.js';
import type { openElsa } from './reference.js';

const rank = 64;

/** The loss for a user at vectors of items (n × rank). */
async function lossAt(rows: Rows, vectors: Float32Array): Promise<number> {
  const { n } = rows;
  const arena = new Arena();
  const threads = new Threads(arena, 1);
  const x = loadInteractions(
    arena,
    rows,
    Int32Array.from({ length: n }, (_, i) => i),
  );
  const p = openPasses(arena, x, rank);
  const [A, G] = [zeroDense(arena, n, rank, 'vectors'), zeroDense(arena, n, rank, 'gradient')];
  arena.f32(A.address, n * rank).set(vectors);
  const loss = lossAndGradient(arena, threads, p, A, G) / rows.users.length;
  await threads.close();
  return loss;
}

/**
 * ELSA's loss at the vectors of a short training, here and by elsarec, whose mean squared error of unit rows is (2 + 2 loss) / n.
 *
 * @throws Error where the two differ by more than 10⁻⁵
 */
export async function compareLoss(
  reference: ReturnType<typeof openElsa>,
  train: string,
  test: string,
): Promise<{ readonly loss: number; readonly reference: number }> {
  const { train: rows } = await loadSplit(train, test);
  const { n, users, indptr, indices } = rows;
  const options = fitOptions.parse({ solver: 'elsa', rank, steps: 5, serving: 0 });
  const { model } = await fit({ mode: 'implicit', rows, scale: 1 }, options, { threads: 1 });
  const vectors = new Float32Array(n * rank);
  const { encoder: A } = model;
  for (let i = 0; i < n; i++) {
    for (let e = A.indptr[i]!; e < A.indptr[i + 1]!; e++) vectors[i * rank + A.indices[e]!] = A.data[e]!;
  }
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-elsa-'));
  try {
    for (const [name, array] of Object.entries({
      'indptr.i32': indptr,
      'indices.i32': indices,
      'vectors.f32': vectors,
    }))
      writeFileSync(join(directory, name), Buffer.from(array.buffer, array.byteOffset, array.byteLength));
    const { nmse } = reference.loss(directory, users.length, n, rank);
    const result = { loss: await lossAt(rows, vectors), reference: (nmse * n) / 2 - 1 };
    if (!(Math.abs(result.loss - result.reference) < 1e-5))
      throw new Error(`the losses are ${result.loss} and ${result.reference}`);
    return result;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
