import {
  chunks,
  clear,
  type Dense,
  denseBytes,
  gather,
  rowsOf,
  type Sparse,
  scatter,
  wholeTiles,
} from '../../matrix/dense.js';
import { bestBytes } from '../../matrix/scratch.js';
import { type Address, type Arena, aligned } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';
import { record, write } from '../../runtime/records.js';
import type { Threads } from '../../runtime/threads.js';
import { type Passes, throughUsers, timesDense, userTerms } from '../elsa/gradient.js';
import type { Objective } from '../elsa/train.js';
import type { SolverSize } from '../solver.js';

/** A with `keep` entries a row, its transpose, and h of every user. */
const sparseParts = (users: number, n: number, width: number, keep: number) => ({
  indptr: 4 * (n + 1),
  indices: 4 * n * keep,
  values: 4 * n * keep,
  columns: 4 * (width + 1),
  items: 4 * n * keep,
  weights: 4 * n * keep,
  cursor: 4 * Math.max(n, width),
  h: 4 * users,
});

const LINES_BYTES = 64;

/** Bytes of `sparseObjective` with its spare matrix. */
export function sparseBytes({ users, items: n, threads }: SolverSize, rank: number, keep: number): number {
  const width = wholeTiles(rank);
  const parts = bytesOf(sparseParts(users, n, width, keep));
  return denseBytes(n, width) + parts + 2 * LINES_BYTES + threads * aligned(bestBytes(keep));
}

/** A sparse matrix in the arena, known to the kernels. */
type Lines = Sparse & { readonly record: Address };

/**
 * ELSA's objective for A, the `keep` largest entries of each row of W, normalised. Products with A are sparse, and none is of users by
 * latents by latents: XASx is X(AS), and M = Yᵀ diag(h) Y is Aᵀ(Xᵀ diag(h) Y). `spare` is of W's shape.
 */
export function sparseObjective(
  arena: Arena,
  threads: Threads,
  p: Passes,
  W: Dense,
  spare: Dense,
  keep: number,
): Objective {
  const { rows: n, width } = W;
  const { columns, items, weights, cursor, h, ...own } = allocate(
    arena,
    sparseParts(p.users, n, width, keep),
    'entries of items',
  );
  const open = (rows: number, parts: Omit<Sparse, 'rows'>): Lines => ({
    rows,
    ...parts,
    record: record(arena, 'Lines', parts, 'entries of items'),
  });
  const A = open(n, own);
  const At = open(width, { indptr: columns, indices: items, values: weights });
  const [S, M] = [p.S, p.M].map(({ address }): Dense => ({ rows: width, width, address })) as [Dense, Dense];
  arena.i32(A.indptr, n + 1).forEach((_, i, indptr) => {
    indptr[i] = i * keep;
  });
  /** C := B D for a sparse B and a dense D. */
  const product = (B: Lines, D: Dense, C: Dense): void => {
    clear(arena, C);
    arena.i32(cursor, B.rows).set(arena.i32(B.indptr, B.rows));
    gather(threads, B, { cursor, first: 0, limit: D.rows }, D, C);
  };
  const take = (): void => {
    prune(arena, threads, W, A, keep);
    transpose(arena, A, At);
  };
  return {
    normalized: false,
    loss(G) {
      take();
      clear(arena, S);
      scatter(threads, At, 0, A, S);
      product(A, S, spare);
      clear(arena, G);
      let cosine = 0;
      throughUsers(arena, threads, p, G, (X, Y) => {
        scatter(threads, X, 0, A, Y);
        const Z = rowsOf(p.Z, 0, Y.rows);
        clear(arena, Z);
        timesDense(arena, threads, p, X, spare, Z);
        cosine += userTerms(arena, threads, p, X.lo, Y, Z, h + 4 * X.lo);
        return Z;
      });
      clear(arena, spare);
      throughUsers(arena, threads, p, spare, (X, Y) => {
        scatter(threads, X, h + 4 * X.lo, A, Y);
        return Y;
      });
      product(At, spare, M);
      return -cosine;
    },
    rows(lo, hi) {
      const [part, AM] = [rowsOf(p.Y, 0, hi - lo), rowsOf(p.Z, 0, hi - lo)];
      spread(arena, A, keep, lo, part);
      const indptr = A.indptr + 4 * lo;
      write(arena, 'Lines', A.record, { indptr });
      product({ ...A, rows: hi - lo, indptr }, M, AM);
      write(arena, 'Lines', A.record, { indptr: A.indptr });
      return { A: part, AM };
    },
    finish() {
      take();
      spread(arena, A, keep, 0, W);
    },
  };
}

/** A_i := the `keep` largest entries of W_i, normalised. */
export function prune(arena: Arena, threads: Threads, W: Dense, A: Sparse, keep: number): void {
  const mark = arena.mark();
  const scratchBytes = aligned(bestBytes(keep));
  const scratch = arena.bytes(scratchBytes * threads.size, 'best entries of a row');
  const args = [W.rows, W.address, W.width, keep, A.indices, A.values] as const;
  threads.run({ kernel: 'prune', tasks: chunks(W.rows), args, scratch, scratchBytes });
  arena.release(mark);
}

/** The rows of A from `lo` on, dense. */
function spread(arena: Arena, A: Sparse, keep: number, lo: number, out: Dense): void {
  clear(arena, out);
  const to = arena.f32(out.address, out.rows * out.width);
  const indices = arena.i32(A.indices, A.rows * keep);
  const values = arena.f32(A.values, A.rows * keep);
  for (let e = lo * keep, row = 0; row < out.rows; row++) {
    for (const end = e + keep; e < end; e++) to[row * out.width + indices[e]!]! += values[e]!;
  }
}

/** At := Aᵀ, whose rows ascend as well. */
function transpose(arena: Arena, A: Sparse, At: Sparse): void {
  const indptr = arena.i32(A.indptr, A.rows + 1);
  const entries = indptr[A.rows]!;
  const [columns, values] = [arena.i32(A.indices, entries), arena.f32(A.values, entries)];
  const [items, weights] = [arena.i32(At.indices, entries), arena.f32(At.values, entries)];
  const next = arena.i32(At.indptr, At.rows + 1).fill(0);
  // Two behind, so that a pointer is where its row begins while it is filled, and where the next one does in the end.
  for (let e = 0; e < entries; e++) if (columns[e]! + 2 <= At.rows) next[columns[e]! + 2]!++;
  for (let c = 2; c <= At.rows; c++) next[c]! += next[c - 1]!;
  for (let i = 0; i < A.rows; i++) {
    for (let e = indptr[i]!; e < indptr[i + 1]!; e++) {
      const to = next[columns[e]! + 1]!++;
      items[to] = i;
      weights[to] = values[e]!;
    }
  }
}
