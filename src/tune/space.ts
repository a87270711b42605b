import { hashed } from '../evaluate/hashed.js';
import { diagonalOf, octaveWeights, unitsOf } from '../gramian/weights.js';
import type { Rows } from '../matrix/rows.js';
import { defaultL2 } from '../solvers/defaults.js';
import { type FitOptions, fitOptions, solverOf } from '../solvers/index.js';
import type { Axis } from '../solvers/solver.js';

/** So many candidates in a row have the same values of shared axes. */
const sharing = 3;

/** The data that candidates are drawn for. */
export interface Surroundings {
  /** Items. */
  readonly n: number;
  /** The λ that the data suggest at a user weighting. */
  derivedL2(userWeighting: number): number;
}

/** The options that are searched for a solver. */
export const searched = (solver: FitOptions['solver']): readonly string[] =>
  Object.keys(solverOf({ solver }).space(1));

/** The value of an option by its name; nothing where the solver derives it or has no such option. */
export const optionOf = (options: FitOptions, name: string): unknown =>
  (options as Readonly<Record<string, unknown>>)[name];

/**
 * Point `index` of a sequence that fills the space of the solver of `base` evenly, however many of its points are taken:
 * the additive recurrence of the generalized golden ratio (Roberts 2018), moved by the seed. Without a serving matrix in
 * `base`, candidates have none.
 */
export function candidate(base: FitOptions, around: Surroundings, index: number, seed: number): FitOptions {
  const axes = Object.entries(solverOf(base).space(around.n));
  const ratio = goldenRatio(axes.length);
  const drawn = axes.map(([name, axis], d) => {
    const point = axis.shared ? Math.floor(index / sharing) : index;
    const at = (hashed(seed, d, -2) + (point + 1) * ratio ** -(d + 1)) % 1;
    return [name, valueAt(axis, at)] as const;
  });
  const values: Record<string, unknown> = Object.fromEntries(drawn);
  if (base.serving === 0) values.serving = 0;
  for (const [name, axis] of axes) {
    if ('timesL2' in axis && axis.timesL2)
      values[name] = rounded(Number(values[name]) * around.derivedL2(Number(values.userWeighting)));
  }
  return fitOptions.parse({ ...base, ...values });
}

/** The value of an axis at 0 ≤ at < 1. */
function valueAt(axis: Axis, at: number): number | boolean {
  if ('choices' in axis) return axis.choices[Math.floor(at * axis.choices.length)]!;
  const { low, high, log, whole } = axis;
  const value = log ? low * (high / low) ** at : low + (high - low) * at;
  return whole ? Math.round(value) : Math.min(high, rounded(value));
}

/** To three significant digits. */
const rounded = (value: number): number => Number(value.toPrecision(3));

/** The root x > 1 of x^(d + 1) = x + 1. */
function goldenRatio(d: number): number {
  let x = 2;
  for (let step = 0; step < 60; step++) x = (1 + x) ** (1 / (d + 1));
  return x;
}

/** The surroundings of train rows. */
export function surroundingsOf(rows: Rows, scale: number): Surroundings {
  const known = new Map<number, number>();
  return {
    n: rows.n,
    derivedL2(eta) {
      const found =
        known.get(eta) ?? defaultL2(diagonalOf(rows, octaveWeights(rows, eta))) / unitsOf(scale, eta);
      known.set(eta, found);
      return found;
    },
  };
}
