import { existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ItemVectors, VectorShape } from '../../src/contracts/sink.js';
import { openSafetensors } from '../../src/matrix/safetensors.js';
import { encodeHeader } from '../../src/matrix/safetensors-header.js';

/** Writes the vectors of one version into a directory. */
export interface VectorWriter {
  write(vectors: ItemVectors): Promise<void>;
  /** Completes and fsyncs the file. */
  finish(): Promise<void>;
  /** Lets go of it without completing it. */
  abandon(): Promise<void>;
}

export const vectorsFile = 'vectors.safetensors';
const headerBytes = 1024;
/** Vectors that are read at a time. */
const batchItems = 1024;

/** The tensors of n vectors in their order, the wide ones first; the last holds the ids as a JSON array in UTF-8. */
const tensorsOf = ({ form, count, rank, entries }: VectorShape, named: boolean, idBytes: number) => [
  ...(form === 'sparse'
    ? ([
        { name: 'indptr', dtype: 'I64', shape: [count + 1] },
        { name: 'indices', dtype: 'I32', shape: [entries] },
        { name: 'values', dtype: 'F32', shape: [entries] },
      ] as const)
    : ([{ name: 'vectors', dtype: 'F32', shape: [count, rank] }] as const)),
  ...(named ? ([{ name: 'dimension', dtype: 'I32', shape: [count] }] as const) : []),
  { name: 'ids', dtype: 'U8', shape: [idBytes] } as const,
];

const bytesOf = (a: NodeJS.ArrayBufferView) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/**
 * Writes `vectors.safetensors`: `vectors` F32[n, r], or for sparse ones `indptr` I64[n + 1], `indices` I32 and `values` F32, as of
 * a CSR matrix; `ids` U8, a JSON array of the n items; where dimensions are items, `dimension` I32[n], the dimension that an
 * item is, else −1. Metadata: `shape`, as JSON.
 */
export async function safetensorsVectors(directory: string, shape: VectorShape): Promise<VectorWriter> {
  const file = await open(join(directory, vectorsFile), 'w');
  const ids: string[] = new Array(shape.count);
  let named = false;
  const put = (name: string, at: number, data: NodeJS.ArrayBufferView) => {
    const before = tensorsOf(shape, true, 0);
    const behind = before.slice(
      0,
      before.findIndex(t => t.name === name),
    );
    const width = (dtype: string) => (dtype === 'I64' ? 8 : 4);
    const start = behind.reduce(
      (sum, t) => sum + t.shape.reduce((a, b) => a * b, width(t.dtype)),
      headerBytes,
    );
    return writeAt(file, bytesOf(data), start + at);
  };
  return {
    async write({ first, begin, ids: some, indptr, values, indices, dimensions }) {
      some.forEach((id, r) => {
        ids[first + r] = id;
      });
      if (indices) {
        await put(
          'indptr',
          8 * first,
          BigInt64Array.from(indptr, p => BigInt(begin + p)),
        );
        await put('indices', 4 * begin, indices);
        await put('values', 4 * begin, values);
      } else await put('vectors', 4 * begin, values);
      named ||= dimensions !== undefined;
      if (dimensions) await put('dimension', 4 * first, dimensions);
    },
    async finish() {
      const text = Buffer.from(JSON.stringify(ids));
      const tensors = tensorsOf(shape, named, text.length);
      await put(named ? 'ids' : 'dimension', 0, text);
      if (shape.form === 'sparse' && shape.count === 0) await put('indptr', 0, BigInt64Array.of(0n));
      const metadata = { shape: JSON.stringify([shape.count, shape.rank]) };
      await writeAt(file, encodeHeader(tensors, metadata, headerBytes), 0);
      await file.sync();
      await file.close();
    },
    abandon: () => file.close(),
  };
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; )
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
}

/** The vectors in a file that `safetensorsVectors` wrote, in batches. */
export function* readVectors(path: string): Generator<ItemVectors> {
  const file = openSafetensors(path);
  try {
    const [count, rank] = JSON.parse(file.metadata.shape!) as [number, number];
    const sparse = file.tensors.has('indptr');
    const entries = sparse ? file.tensors.get('values')!.shape[0]! : count * rank;
    const shape: VectorShape = { form: sparse ? 'sparse' : 'dense', count, rank, entries };
    const ids = JSON.parse(Buffer.from(file.read('ids') as Uint8Array).toString()) as string[];
    for (let first = 0; first < count; first += batchItems) {
      const last = Math.min(count, first + batchItems);
      const absolute = sparse
        ? Array.from(file.read('indptr', first, last + 1) as BigInt64Array, Number)
        : Array.from({ length: last - first + 1 }, (_, r) => (first + r) * rank);
      const [begin, end] = [absolute[0]!, absolute.at(-1)!];
      yield {
        shape,
        first,
        begin,
        ids: ids.slice(first, last),
        indptr: Int32Array.from(absolute, p => p - begin),
        values: file.read(sparse ? 'values' : 'vectors', begin, end) as Float32Array,
        ...(sparse && { indices: file.read('indices', begin, end) as Int32Array }),
        ...(file.tensors.has('dimension') && {
          dimensions: file.read('dimension', first, last) as Int32Array,
        }),
      };
    }
  } finally {
    file.close();
  }
}

/** How many vectors a file has; 0 without one. */
export function countVectors(path: string): number {
  if (!existsSync(path)) return 0;
  const file = openSafetensors(path);
  file.close();
  return (JSON.parse(file.metadata.shape!) as [number, number])[0];
}
