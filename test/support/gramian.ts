import type { ColumnBlock } from '#src/gramian/update.js';
import { build, type Dense } from './dense.js';

/** A dense n × n matrix from blocks of columns; checks that they cover 0 … n − 1 in order, sorted, without zeros. */
export function fromBlocks(blocks: Iterable<ColumnBlock>, n: number): Dense {
  const G = build(n, n, () => 0);
  let column = 0;
  for (const { first, indptr, indices, values } of blocks) {
    if (first !== column) throw new Error(`expected a block from column ${column}, found ${first}`);
    for (let c = 0; c + 1 < indptr.length; c++, column++) {
      for (let e = indptr[c]!; e < indptr[c + 1]!; e++) {
        if (e > indptr[c]! && indices[e]! <= indices[e - 1]!)
          throw new Error(`column ${column} is not ascending`);
        if (values[e] === 0) throw new Error(`column ${column} holds a zero`);
        G[indices[e]!]![column] = values[e]!;
      }
    }
  }
  if (column !== n && n > 0) throw new Error(`expected ${n} columns, found ${column}`);
  return G;
}

/** A dense matrix as one block of columns. */
export function toBlock(G: Dense): ColumnBlock {
  const n = G.length;
  const indices: number[] = [];
  const values: number[] = [];
  const indptr = [0];
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < n; i++) {
      if (G[i]![j] === 0) continue;
      indices.push(i);
      values.push(G[i]![j]!);
    }
    indptr.push(indices.length);
  }
  return {
    first: 0,
    indptr: Float64Array.from(indptr),
    indices: Int32Array.from(indices),
    values: Float64Array.from(values),
  };
}
