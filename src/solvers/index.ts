import { z } from 'zod';
import { compressedElsa } from './compressed-elsa/index.js';
import { elsa } from './elsa/index.js';
import { exact } from './exact/index.js';
import { fsai } from './fsai/index.js';
import { icf } from './icf/index.js';
import type { Solver } from './solver.js';

/** The solvers by name: the only list of them. */
export const solvers = { icf, fsai, exact, elsa, 'compressed-elsa': compressedElsa };

type Schema = (typeof solvers)[keyof typeof solvers]['options'];

/** Options of a fit; the same for the CLI, the configuration and the library. Without a solver it is `icf`. */
export const fitOptions = z.preprocess(
  given =>
    typeof given === 'object' && given !== null && !Array.isArray(given)
      ? { solver: 'icf', ...given }
      : given,
  z.discriminatedUnion(
    'solver',
    Object.values(solvers).map(({ options }) => options) as unknown as [Schema, ...Schema[]],
  ),
);
export type FitOptions = z.output<typeof fitOptions>;

/** The names of the solvers. */
export const solverNames = Object.keys(solvers) as [FitOptions['solver'], ...FitOptions['solver'][]];

/** The solver of these options. */
export const solverOf = ({ solver }: Pick<FitOptions, 'solver'>): Solver<FitOptions> => solvers[solver];

/**
 * `base` with `overrides` in their places. When they change the solver, it starts from its own defaults, but makes no
 * serving matrix if `base` makes none.
 */
export function overrideFit(
  base: FitOptions,
  overrides: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const solver = overrides.solver ?? base.solver;
  if (solver === base.solver) return { ...base, ...overrides };
  return overrides.serving === undefined && base.serving === 0 ? { serving: 0, ...overrides } : overrides;
}
