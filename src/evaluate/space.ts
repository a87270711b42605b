import { type FitOptions, fitOptions } from '../options.js';
import { hashed } from './hashed.js';

/** A fit option that is searched: values between two bounds, evenly or evenly by their logarithm, or a choice. */
type Axis =
  | { readonly low: number; readonly high: number; readonly log?: boolean; readonly whole?: boolean }
  | { readonly choices: readonly (number | boolean)[] };

/** What is searched for a solver, for a catalogue of n items. */
type Space = Readonly<Record<string, Axis>>;

/** How much users are weighted, and how many entries of an item serve. */
const common = {
  userWeighting: { choices: [0, 0.25, 0.5, 0.75] },
  serving: { low: 20, high: 200, log: true, whole: true },
} as const;

const spaces: Readonly<Record<FitOptions['solver'], (n: number) => Space>> = {
  icf: n => ({
    l2: { low: 1, high: 200, log: true },
    // 4 to 64 weights an item
    density: { low: Math.min(1, 4 / n), high: Math.min(1, 64 / n), log: true },
    rescale: { choices: [false, true] },
    ...common,
  }),
  fsai: () => ({
    l2: { low: 2, high: 400, log: true },
    neighbours: { choices: [10, 20, 32, 64] },
    alpha: { choices: [0.1, 0.3, 0.5] },
    ...common,
  }),
};

/** Those of the options that are searched; `default` where they are left to the fit. */
export function searched(options: FitOptions): Readonly<Record<string, number | boolean | string>> {
  const names = Object.keys(spaces[options.solver](1));
  const values = new Map<string, number | boolean | string>(Object.entries(options));
  return Object.fromEntries(names.map(name => [name, values.get(name) ?? 'default']));
}

/**
 * Point `index` of a sequence that fills the space evenly, however many of its points are taken: the additive
 * recurrence of the generalized golden ratio (Roberts 2018), moved by the seed.
 */
export function candidate(base: FitOptions, n: number, index: number, seed: number): FitOptions {
  const axes = Object.entries(spaces[base.solver](n));
  const ratio = goldenRatio(axes.length);
  const values = axes.map(([name, axis], d) => {
    const at = (hashed(seed, d, -2) + (index + 1) * ratio ** -(d + 1)) % 1;
    return [name, valueAt(axis, at)] as const;
  });
  return fitOptions.parse({ ...base, ...Object.fromEntries(values) });
}

/** The value of an axis at 0 ≤ at < 1, to three significant digits. */
function valueAt(axis: Axis, at: number): number | boolean {
  if ('choices' in axis) return axis.choices[Math.floor(at * axis.choices.length)]!;
  const { low, high, log, whole } = axis;
  const value = log ? low * (high / low) ** at : low + (high - low) * at;
  return whole ? Math.round(value) : Math.min(high, Number(value.toPrecision(3)));
}

/** The root x > 1 of x^(d + 1) = x + 1. */
function goldenRatio(d: number): number {
  let x = 2;
  for (let step = 0; step < 60; step++) x = (1 + x) ** (1 / (d + 1));
  return x;
}
