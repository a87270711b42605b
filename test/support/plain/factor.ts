import { StageError } from '#src/errors.js';
import type { IcfOptions } from '#src/solvers/icf/options.js';
import { entryBudget, scaledL2 } from '#src/solvers/icf/options.js';
import type { Gramian, LowerColumns } from './columns.js';
import { icf } from './icf.js';
import type { Lower } from './lower.js';

/** L̂ D L̂ᵀ ≈ P (S G S + λI) Pᵀ, and the shifts λ that were tried; the last one is in the factor. */
export interface Factor {
  /** L̂, unit lower triangular, by position. */
  readonly lower: Lower;
  /** D_kk, by position. */
  readonly pivots: Float64Array;
  readonly shifts: number[];
}

/** Columns between two reports of progress. */
const REPORT_EVERY = 1024;

/**
 * Factorizes S G S + λI in the given order. After a breakdown λ is raised; `NOT_POSITIVE_DEFINITE` is thrown
 * when the largest of `maxShifts` raised shifts broke down as well. `scales` holds s_j for every item.
 */
export function factorize(
  gramian: Gramian,
  order: Int32Array,
  scales: Float64Array,
  options: IcfOptions,
  report: (fraction: number) => void = () => {},
): Factor {
  const { n, scale } = gramian;
  const { shiftStep, shiftMultiplier, maxShifts } = options;
  const l2 = options.l2 ?? scaledL2;
  const budget = entryBudget(n, options.density);
  const G = gramian.diagonal();
  // real entries are fixed point / scale²: each side of S G S takes one of the divisions
  const t = Float64Array.from(order, j => scales[j]! / scale);
  const diagonal = Float64Array.from(order, (j, k) => G[j]! * t[k]! * t[k]!);
  const shifts: number[] = [];
  for (let attempt = 0; ; attempt++) {
    const shift = attempt === 0 ? l2 : l2 + shiftStep * shiftMultiplier ** (attempt - 1);
    shifts.push(shift);
    const columns = reporting(gramian.lower(order), n, report);
    const shifted = diagonal.map(a => a + shift);
    const result = icf(columns, shifted, t, budget);
    if (result.ok) return { ...unitLower(result.factor), shifts };
    if (attempt === maxShifts) {
      throw new StageError(
        'NOT_POSITIVE_DEFINITE',
        `pivot ${result.pivot} in column ${result.column} of ${n} with l2 raised to ${shift}, expected > 0`,
      );
    }
  }
}

/** L = L̂ D^(1/2): divides the columns of L by their diagonal, in place, and returns L̂ and D. */
export function unitLower(L: Lower): { lower: Lower; pivots: Float64Array } {
  const { n, indptr: Lp, data: Lx } = L;
  const pivots = new Float64Array(n);
  for (let j = 0; j < n; j++) {
    const l = Lx[Lp[j]!]!;
    pivots[j] = l * l;
    for (let e = Lp[j]!; e < Lp[j + 1]!; e++) Lx[e]! /= l;
  }
  return { lower: L, pivots };
}

function reporting(columns: LowerColumns, n: number, report: (fraction: number) => void): LowerColumns {
  return {
    column(k, indices, values) {
      if (k % REPORT_EVERY === 0) report(k / n);
      return columns.column(k, indices, values);
    },
  };
}
