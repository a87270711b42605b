import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SegmentFile } from '#src/gramian/segment.js';
import { openSegmentWriter } from '#src/gramian/segment-writer.js';
import type { ColumnBlock } from '#src/gramian/update.js';
import { encodeHeader } from '#src/matrix/safetensors-header.js';
import { Arena } from '#src/runtime/arena.js';
import { build, type Dense } from './dense.js';

/** A dense n × n matrix from blocks of columns; checks that they cover 0 … n − 1 in order, sorted, without zeros. */
export function fromBlocks(blocks: Iterable<ColumnBlock>, n: number): Dense {
  const G = build(n, n, () => 0);
  let column = 0;
  for (const { first, lengths, indices, values } of blocks) {
    if (first !== column) throw new Error(`expected a block from column ${column}, found ${first}`);
    let e = 0;
    for (const length of lengths) {
      for (let last = -1, end = e + length; e < end; last = indices[e++]!) {
        if (indices[e]! <= last) throw new Error(`column ${column} is not ascending`);
        if (values[e] === 0) throw new Error(`column ${column} holds a zero`);
        G[indices[e]!]![column] = values[e]!;
      }
      column++;
    }
  }
  if (column !== n && n > 0) throw new Error(`expected ${n} columns, found ${column}`);
  return G;
}

/** A dense matrix as one block of columns in the arena. */
export function toBlock(arena: Arena, G: Dense, wide = false): ColumnBlock {
  const n = G.length;
  const columns = Array.from({ length: n }, (_, j) => [...G.keys()].filter(i => G[i]![j] !== 0));
  const values = columns.flatMap((rows, j) => rows.map(i => G[i]![j]!));
  const place = (array: Int32Array | Float64Array) => arena.copy(array, 'a test');
  const lengths = Int32Array.from(columns, rows => rows.length);
  const indices = arena.i32(place(Int32Array.from(columns.flat())), values.length);
  const data = wide
    ? arena.f64(place(Float64Array.from(values)), values.length)
    : arena.i32(place(Int32Array.from(values)), values.length);
  return { first: 0, lengths, indices, values: data };
}

/** Writes a dense matrix as a segment. */
export function writeDense(directory: string, G: Dense, { wide = false, scale = 1 } = {}): SegmentFile {
  const arena = new Arena();
  const writer = openSegmentWriter(arena, directory, G.length, scale);
  try {
    writer.write(toBlock(arena, G, wide));
    return writer.finish();
  } finally {
    writer.close();
  }
}

/** Fletcher's sums of 32-bit words, modulo 2⁶⁴, as the first format's checksum has them. */
function fletcher(bytes: Uint8Array): string {
  let [a, b] = [0n, 0n];
  for (const word of new Uint32Array(bytes.slice().buffer)) {
    a = BigInt.asUintN(64, a + BigInt(word));
    b = BigInt.asUintN(64, b + a);
  }
  return Buffer.from(BigUint64Array.of(a, b).buffer).toString('hex');
}

/** Writes blocks of columns as earlier versions did: plain CSC arrays. */
export function writeCsc(
  directory: string,
  blocks: readonly ColumnBlock[],
  n: number,
  { wide = false, scale = 1, userWeighting = 0 } = {},
): SegmentFile {
  const indptr = [0];
  for (const { lengths } of blocks) for (const length of lengths) indptr.push(indptr.at(-1)! + length);
  const values = blocks.flatMap(block => [...block.values]);
  const arrays = {
    indptr: BigInt64Array.from(indptr, BigInt),
    indices: Int32Array.from(blocks.flatMap(block => [...block.indices])),
    data: wide ? Float64Array.from(values) : Int32Array.from(values),
  };
  const bytes = Object.values(arrays).map(a => new Uint8Array(a.buffer));
  const nnz = values.length;
  const metadata = {
    format: 'sansa-stream/gramian@1',
    shape: JSON.stringify([n, n]),
    scale: String(scale),
    userWeighting: String(userWeighting),
    largest: String(values.reduce((most, v) => Math.max(most, Math.abs(v)), 0)),
    checksum: bytes.map(fletcher).join(''),
  };
  const header = encodeHeader(
    [
      { name: 'indptr', dtype: 'I64', shape: [n + 1] },
      { name: 'indices', dtype: 'I32', shape: [nnz] },
      { name: 'data', dtype: wide ? 'F64' : 'I32', shape: [nnz] },
    ],
    metadata,
  );
  const id = randomUUID();
  const whole = Buffer.concat([header, ...bytes]);
  writeFileSync(join(directory, `${id}.safetensors`), whole);
  return { id, file: `${id}.safetensors`, n, nnz, bytes: whole.length };
}
