import { StageError } from '../../errors.js';
import { type ArrangedGramian, byWidth, type Report } from '../../gramian/columns.js';
import { factorBytes, factorize } from '../../matrix/cholesky.js';
import { inverseBytes, invertLower, multiplyInverse } from '../../matrix/inverse.js';
import { capacity, factorRecord, type Lower } from '../../matrix/lower.js';
import { entriesOf, indexOf, isSingle, type Tiles, tilesBytes, zeroTiles } from '../../matrix/tiles.js';
import type { Address, Arena } from '../../runtime/arena.js';
import { record } from '../../runtime/records.js';
import { defaultL2 } from '../defaults.js';
import { inverseRoom, invert } from '../icf/inverse.js';
import { entryBudget } from '../icf/options.js';
import { buildModel, layerBytes } from '../layers.js';
import type { Solved, SolverContext, SolverRoom, SolverSize } from '../solver.js';
import { type ExactOptions, keptEntries } from './options.js';
import { cutBytes, cutLayers } from './rows.js';
import { sparsify, sparsifyBytes } from './sparsify.js';

/** EASE by the dense inverse, or SANSA by the exact factor (Spišák et al. 2023, Algorithm 1 with an exact factorization). */
export function solve(context: SolverContext, options: ExactOptions): Solved {
  const l2 = options.l2 ?? defaultL2(context.diagonal) / context.unit;
  return options.form === 'inverse' ? byInverse(context, options, l2) : byFactor(context, options, l2);
}

function byInverse(context: SolverContext, options: ExactOptions, l2: number): Solved {
  const { arena, threads, stage } = context;
  const n = context.gramian.n;
  const items = Int32Array.from({ length: n }, (_, i) => i);
  const { L, inverses } = stage('factor', report => factorOf(context, items, l2, options, report));
  stage('inverse', report => {
    invertLower(arena, threads, L, inverses, part => report(part / 2));
    multiplyInverse(arena, threads, L, part => report((1 + part) / 2));
  });
  const layers = stage('weights', () => cutLayers(arena, threads, L, keptEntries(n, options)));
  return { layers, l2, details: { factorEntries: (n * (n + 1)) / 2 } };
}

function byFactor(context: SolverContext, options: ExactOptions, l2: number): Solved {
  const { arena, threads, positions, stage } = context;
  const n = context.gramian.n;
  const budget = entryBudget(n, options.density);
  const pivots = arena.bytes(8 * n, 'pivots');
  const mark = arena.mark();
  const L = stage('factor', (report): Lower => {
    const factor = factorOf(context, positions, l2, options, report);
    const sparse = sparsify(arena, threads, factor.L, capacity(n, budget));
    return moved(arena, mark, sparse);
  });
  arena.kernels.unitLower(factorRecord(arena, L), pivots);
  const inverse = stage('inverse', () => invert(arena, threads, L, { ...options, budget }));
  const layers = stage('weights', () => buildModel(arena, inverse.lower, pivots, positions));
  const { losses, undone } = inverse;
  return { layers, l2, details: { factorEntries: L.entries, losses, undone } };
}

/** L Lᵀ = G + λI in tiles, items in the order of `positions`. */
function factorOf(
  { arena, threads, gramian, unit }: SolverContext,
  positions: Int32Array,
  l2: number,
  { precision }: ExactOptions,
  report: Report,
): { readonly L: Tiles; readonly inverses: Address } {
  const A = zeroTiles(arena, gramian.n, precision);
  const mark = arena.mark();
  fill(arena, A, gramian.arrange(positions), l2 * unit, part => report(part / 2));
  arena.release(mark); // G is no longer needed
  const result = factorize(arena, threads, A, part => report((1 + part) / 2));
  if (result.ok) return { L: A, inverses: result.inverses };
  const at = `Pivot ${result.pivot} in column ${result.column} of ${gramian.n} is not positive`;
  throw new StageError(
    'NOT_POSITIVE_DEFINITE',
    `${at} in ${precision}: use float64, or a larger l2 than ${l2}.`,
  );
}

/** A := G + λI, λ in units of G. */
function fill(arena: Arena, A: Tiles, arranged: ArrangedGramian, lambda: number, report: Report): void {
  const entries = entriesOf(arena, A);
  arranged.diagonal.forEach((g, j) => {
    entries[indexOf(A.precision, j, j)] = g + lambda;
  });
  const state = record(arena, 'TileColumns', { tiles: A.address, single: isSingle(A) }, 'dense matrix');
  arranged.sweep({ take: byWidth(arena.kernels.tilesTake), state, listed: true, tailBytes: 0 }, report);
}

/** The matrix moved down to `mark`; everything else above it goes. */
function moved(arena: Arena, mark: Address, L: Lower): Lower {
  const arrays = [
    arena.i32(L.indptr, L.n + 1),
    arena.i32(L.indices, L.entries),
    arena.f32(L.data, L.entries),
  ] as const;
  const [indptr, indices, data] = arena.keep(mark, arrays, 'factor');
  return { ...L, indptr: indptr.byteOffset, indices: indices.byteOffset, data: data.byteOffset };
}

/** Bytes of each phase of `solve`. */
export function room({ items: n, threads, gramian }: SolverSize, options: ExactOptions): SolverRoom {
  const { precision, density, scans, form } = options;
  const tiles = tilesBytes(n, precision);
  const factor = factorBytes(n, precision, threads);
  const gathering = tiles + gramian.arranged + Math.max(gramian.arranging, gramian.sweep(0));
  if (form === 'inverse') {
    const { layers, making } = cutBytes(n, keptEntries(n, options), threads);
    const inverse = tiles + factor.kept + Math.max(factor.making, inverseBytes(n, precision, threads));
    return { phases: { gathering, inverse, weights: tiles + factor.kept + layers + making }, layers };
  }
  const budget = capacity(n, entryBudget(n, density));
  const sparse = sparsifyBytes(n, budget, threads);
  const inverse = inverseRoom(n, budget, scans, threads);
  const { layers, making } = layerBytes(n, budget);
  const kept = 8 * n + sparse.factor;
  return {
    phases: {
      gathering: 8 * n + gathering,
      factor: 8 * n + tiles + factor.kept + Math.max(factor.making, sparse.making, sparse.factor + 4 * n),
      inverse: kept + inverse.kept + inverse.making,
      model: kept + inverse.kept + layers + making,
    },
    layers,
  };
}
