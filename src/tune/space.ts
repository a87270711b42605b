import { hashed } from '../evaluate/hashed.js';
import { diagonalOf, octaveWeights, unitsOf } from '../gramian/weights.js';
import type { Rows } from '../matrix/rows.js';
import { type FitOptions, fitOptions } from '../options.js';
import { defaultL2 } from '../solvers/defaults.js';

/** A fit option that is searched: values between two bounds, evenly or evenly by their logarithm, or a choice. */
type Axis =
  | { readonly low: number; readonly high: number; readonly log?: boolean; readonly whole?: boolean }
  | { readonly choices: readonly (number | boolean)[] };

type Space = Readonly<Record<string, Axis>>;

/** What decides the passes of fsai over G: so many candidates in a row share them, and differ in the rest. */
const passAxes: ReadonlySet<string> = new Set(['neighbours', 'alpha', 'userWeighting']);
const sharing = 3;

/** What candidates are drawn for. */
export interface Surroundings {
  /** Items. */
  readonly n: number;
  /** The λ that the data suggest to fsai at a user weighting. */
  derivedL2(userWeighting: number): number;
}

const userWeighting: Axis = { choices: [0, 0.25, 0.5, 0.75] };
const serving: Axis = { low: 20, high: 200, log: true, whole: true };

const spaces: Readonly<Record<FitOptions['solver'], (n: number) => Space>> = {
  icf: n => ({
    l2: { low: 1, high: 200, log: true },
    // 4 to 64 weights an item
    density: { low: Math.min(1, 4 / n), high: Math.min(1, 64 / n), log: true },
    userWeighting,
    rescale: { choices: [false, true] },
    serving,
  }),
  fsai: () => ({
    // times the λ that the data suggest
    l2: { low: 1 / 5, high: 5, log: true },
    neighbours: { choices: [10, 20, 32, 64] },
    alpha: { choices: [0.1, 0.3, 0.5, 0.7, 0.9] },
    userWeighting,
    serving,
  }),
};

/** The options that are searched for a solver. */
export const searched = (solver: FitOptions['solver']): readonly string[] => Object.keys(spaces[solver](1));

/** The value of an option by its name; nothing where the solver derives it or has no such option. */
export const optionOf = (options: FitOptions, name: string): unknown =>
  (options as Readonly<Record<string, unknown>>)[name];

/**
 * Point `index` of a sequence that fills the space of the solver of `base` evenly, however many of its points are taken:
 * the additive recurrence of the generalized golden ratio (Roberts 2018), moved by the seed. Without a serving matrix in
 * `base`, candidates have none.
 */
export function candidate(base: FitOptions, around: Surroundings, index: number, seed: number): FitOptions {
  const axes = Object.entries(spaces[base.solver](around.n));
  const ratio = goldenRatio(axes.length);
  const drawn = axes.map(([name, axis], d) => {
    const point = base.solver === 'fsai' && passAxes.has(name) ? Math.floor(index / sharing) : index;
    const at = (hashed(seed, d, -2) + (point + 1) * ratio ** -(d + 1)) % 1;
    return [name, valueAt(axis, at)] as const;
  });
  const values: Record<string, unknown> = Object.fromEntries(drawn);
  if (base.serving === 0) values.serving = 0;
  if (base.solver === 'fsai')
    values.l2 = rounded(Number(values.l2) * around.derivedL2(Number(values.userWeighting)));
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

/** What the train rows say of the space. */
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
