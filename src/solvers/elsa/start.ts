import { StageError } from '../../errors.js';
import { factorBytes, factorize } from '../../matrix/cholesky.js';
import { chunks, type Dense, denseBytes, gramScratch, multiply, squareIndex } from '../../matrix/dense.js';
import { inverseBytes, invertLower } from '../../matrix/inverse.js';
import { entriesOf, indexOf, tilesBytes, zeroTiles } from '../../matrix/tiles.js';
import type { Arena } from '../../runtime/arena.js';
import type { Threads } from '../../runtime/threads.js';
import { type Passes, setGram, throughUsers, timesDense } from './gradient.js';

/** Products with G before the rows are normalised: more of them favour what is popular. */
const ITERATIONS = 2;
/** Part of the trace that keeps a Gram matrix positive definite after its rounding to float32. */
const RIDGE = 1e-6;

/** Bytes of a start with the matrix that it needs beside A. */
export const startBytes = (n: number, rank: number, width: number, threads: number): number =>
  denseBytes(n, width) +
  4 * n +
  Math.max(threads * gramScratch, tilesBytes(rank, 'float64') + factorSum(rank, threads));

const factorSum = (rank: number, threads: number): number => {
  const { kept, making } = factorBytes(rank, 'float64', threads);
  return kept + Math.max(making, inverseBytes(rank, 'float64', threads));
};

/** 1 / √G_jj, and 0 for an item that nobody has. */
const inverseRoots = (diagonal: Float64Array): Float64Array =>
  diagonal.map(g => (g > 0 ? 1 / Math.sqrt(g) : 0));

/**
 * A near the span of the `rank` first eigenvectors of D^(−½) G D^(−½), D the diagonal of G: subspace iterations on random columns,
 * by products with X and Xᵀ (Halko, Martinsson & Tropp 2011, Algorithm 4.4), then rows of unit norm. `spare` is of A's shape.
 */
export function spectralStart(
  arena: Arena,
  threads: Threads,
  p: Passes,
  diagonal: Float64Array,
  { rank, seed }: { readonly rank: number; readonly seed: number },
  A: Dense,
  spare: Dense,
): void {
  const roots = inverseRoots(diagonal);
  const [a, g] = [A, spare].map(({ address }) => arena.f32(address, A.rows * A.width)) as [
    Float32Array,
    Float32Array,
  ];
  const next = uniform(seed);
  for (let i = 0; i < A.rows; i++) {
    for (let c = 0; c < rank; c++) a[i * A.width + c] = next() + next() + next() - 1.5;
  }
  const scaleRows = (x: Float32Array) =>
    roots.forEach((root, i) => {
      for (let e = i * A.width, end = e + rank; e < end; e++) x[e]! *= root;
    });
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    scaleRows(a);
    g.fill(0);
    addGramTimes(arena, threads, p, A, spare);
    scaleRows(g);
    orthonormalize(arena, threads, p, spare, rank, A);
  }
  g.fill(0);
  normalizeRows(threads, A);
}

/** out += XᵀXB */
function addGramTimes(arena: Arena, threads: Threads, p: Passes, B: Dense, out: Dense): void {
  throughUsers(arena, threads, p, out, (X, Y) => {
    timesDense(arena, threads, p, X, B, Y);
    return Y;
  });
}

/** A := B L⁻ᵀ for L Lᵀ = BᵀB: the same span, columns orthonormal up to rounding. */
function orthonormalize(arena: Arena, threads: Threads, p: Passes, B: Dense, rank: number, A: Dense): void {
  const { width } = p.S;
  setGram(arena, threads, B, p.S);
  const mark = arena.mark();
  const square = arena.f32(p.S.address, width * width);
  const tiles = zeroTiles(arena, rank, 'float64');
  const entries = entriesOf(arena, tiles);
  let trace = Number.MIN_VALUE;
  for (let j = 0; j < rank; j++) trace += square[squareIndex(width, j, j)]!;
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) {
      const shift = i === j ? RIDGE * trace : 0;
      entries[indexOf('float64', i, j)] = square[squareIndex(width, i, j)]! + shift;
    }
  }
  const factor = factorize(arena, threads, tiles);
  if (!factor.ok)
    throw new StageError('INTERNAL', `The start of ELSA broke down in column ${factor.column} of ${rank}.`);
  invertLower(arena, threads, tiles, factor.inverses);
  square.fill(0);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) {
      // Tile (I, J) holds its block of L⁻¹ transposed.
      const [low, high] = [(i & ~63) + (j & 63), (j & ~63) + (i & 63)];
      square[squareIndex(width, i, j)] = entries[indexOf('float64', low, high)]!;
    }
  }
  multiply(threads, B, p.S, A);
  arena.release(mark);
}

/** Rows of A of unit norm. */
function normalizeRows(threads: Threads, A: Dense): void {
  threads.run({
    kernel: 'normalizeRows',
    tasks: chunks(A.rows),
    args: [A.rows, A.address, A.width],
  });
}

/**
 * The start of compressed ELSA: the dimensions are `landmarks`, items, and W is the normalised Gramian's columns of them,
 * G_il / √(G_ii G_ll).
 */
export function landmarkStart(
  arena: Arena,
  threads: Threads,
  p: Passes,
  diagonal: Float64Array,
  landmarks: Int32Array,
  W: Dense,
  spare: Dense,
): void {
  const roots = inverseRoots(diagonal);
  const b = arena.f32(spare.address, spare.rows * spare.width).fill(0);
  landmarks.forEach((item, l) => {
    b[item * spare.width + l] = roots[item]!;
  });
  arena.f32(W.address, W.rows * W.width).fill(0);
  addGramTimes(arena, threads, p, spare, W);
  b.fill(0);
  normalizeRows(threads, W);
}

/** Uniform numbers in [0, 1) from a 32-bit seed (splitmix32). */
function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let t = state ^ (state >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
    return ((t ^ (t >>> 15)) >>> 0) / 2 ** 32;
  };
}
