import { StageError } from '../errors.js';
import { widened } from '../matrix/int64.js';
import { readSafetensors, type Tensor, type TensorFile, writeSafetensors } from '../matrix/safetensors.js';
import type { CsrMatrix, Model, ScoringModel } from './model.js';

/**
 * Writes the weights as `encoder.*` and `decoder.*`: indptr I64[n + 1], indices I32[nnz], data F32[nnz], with
 * `encoder.shape` and `decoder.shape` as JSON beside the given metadata. In Python each layer is
 * `scipy.sparse.csr_matrix((data, indices, indptr), shape)`, and the pair is what `SANSA.load_weights` takes. The serving
 * matrix, if there is one, is `serving.*` in the same form, and the items of the latents are `dimensions` I32[r].
 */
export function saveModel(path: string, model: Model, metadata: Readonly<Record<string, string>> = {}): void {
  const { encoder, decoder, serving, dimensions } = model;
  const tensors = {
    ...tensorsOf('encoder', encoder),
    ...tensorsOf('decoder', decoder),
    ...(serving && tensorsOf('serving', serving)),
    ...(dimensions && { dimensions: { shape: [dimensions.length], data: dimensions } }),
  };
  writeSafetensors(path, tensors, {
    ...metadata,
    ...shapesOf({ encoder, decoder, ...(serving && { serving }) }),
  });
}

/** The shapes of matrices, for the metadata. */
export const shapesOf = (
  matrices: Readonly<Record<string, Pick<CsrMatrix, 'rows' | 'columns'>>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(matrices).map(([name, A]) => [`${name}.shape`, JSON.stringify([A.rows, A.columns])]),
  );

/** Reads what `saveModel` wrote. Throws `STATE_CORRUPT`, naming the file, if it is not n × r, r × n and n × n CSR matrices. */
export const loadModel = (path: string): Model => modelOf(readSafetensors(path), path);

function modelOf(file: TensorFile, path: string): Model {
  const encoder = matrixOf('encoder', file, path, (rows, columns) => [rows, columns]);
  const { rows: n, columns: latents } = encoder;
  const decoder = matrixOf('decoder', file, path, () => [latents, n]);
  const serving = file.tensors.has('serving.indptr')
    ? matrixOf('serving', file, path, () => [n, n])
    : undefined;
  return { n, encoder, decoder, serving, dimensions: dimensionsOf(file, path, latents, n) };
}

/**
 * The part of the model in `path` that scores: its serving matrix alone, if there is one, else the whole model. It is read
 * into memory that `place` gives.
 */
export function loadForScoring(path: string, place?: (bytes: number) => Uint8Array): ScoringModel {
  const file = readSafetensors(
    path,
    (name, all) => name.startsWith('serving.') || !all.includes('serving.indptr'),
    place,
  );
  if (!file.tensors.has('serving.indptr')) return modelOf(file, path);
  const serving = matrixOf('serving', file, path, rows => [rows, rows]);
  return { n: serving.rows, serving };
}

function tensorsOf(name: string, A: CsrMatrix): Record<string, Tensor> {
  return {
    [`${name}.indptr`]: { shape: [A.indptr.length], data: widened(A.indptr) },
    [`${name}.indices`]: { shape: [A.indices.length], data: A.indices },
    [`${name}.data`]: { shape: [A.data.length], data: A.data },
  };
}

/** The items of the latents, if they are known. */
function dimensionsOf({ tensors }: TensorFile, path: string, latents: number, n: number) {
  const found = tensors.get('dimensions')?.data;
  if (found === undefined) return undefined;
  if (found instanceof Int32Array && found.length === latents && found.every(i => i >= -1 && i < n))
    return found;
  throw new StageError('STATE_CORRUPT', `${path}: expected dimensions I32 of ${latents} items`);
}

/** Reads a matrix. `shapeOf` gives the expected shape from the rows that it has and the columns that its shape declares. */
function matrixOf(
  name: string,
  { tensors, metadata }: TensorFile,
  path: string,
  shapeOf: (rows: number, columns: number) => readonly [rows: number, columns: number],
): CsrMatrix {
  const indptr = tensors.get(`${name}.indptr`)?.data;
  const indices = tensors.get(`${name}.indices`)?.data;
  const data = tensors.get(`${name}.data`)?.data;
  if (
    !(indptr instanceof BigInt64Array && indices instanceof Int32Array && data instanceof Float32Array) ||
    indptr.length === 0
  ) {
    throw new StageError('STATE_CORRUPT', `${path}: expected ${name}.indptr I64, .indices I32, .data F32`);
  }
  const found = metadata[`${name}.shape`];
  const length = indptr.length - 1;
  const [rows, columns] = shapeOf(length, Number(found?.match(/,(\d+)\]$/)?.[1]));
  if (found !== JSON.stringify([rows, columns]) || rows !== length) {
    const expected = `expected [${rows},${columns}]`;
    throw new StageError(
      'STATE_CORRUPT',
      `${path}: ${name} of ${length} rows has shape ${found}, ${expected}`,
    );
  }
  const matrix = { rows, columns, indptr: narrowed(indptr), indices, data };
  if (!isCsr(matrix)) throw new StageError('STATE_CORRUPT', `${path}: ${name} is no valid CSR matrix`);
  return matrix;
}

/** Numbers from 0 to 2³¹ − 1 of 32 bits; −1 in place of others. */
function narrowed(wide: BigInt64Array): Int32Array {
  const halves = new Int32Array(wide.buffer, wide.byteOffset, 2 * wide.length);
  const narrow = new Int32Array(wide.length);
  for (let i = 0; i < narrow.length; i++) narrow[i] = halves[2 * i + 1] === 0 ? halves[2 * i]! : -1;
  return narrow;
}

/** Whether the rows follow one another from 0 to nnz and the column indices ascend within 0 … columns − 1. */
function isCsr({ rows, columns, indptr: Ap, indices: Ai, data }: CsrMatrix): boolean {
  if (Ap[0] !== 0 || Ap[rows] !== Ai.length || data.length !== Ai.length) return false;
  for (let i = 0; i < rows; i++) {
    if (Ap[i + 1]! < Ap[i]!) return false;
    for (let e = Ap[i]!, last = -1; e < Ap[i + 1]!; last = Ai[e++]!) {
      if (Ai[e]! <= last || Ai[e]! >= columns) return false;
    }
  }
  return true;
}
