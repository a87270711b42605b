import { z } from 'zod';
import { StageError } from '../errors.js';
import type { Gramian, GramianRoom, Report } from '../gramian/columns.js';
import type { GramianMode } from '../gramian/plan.js';
import type { Rows } from '../matrix/rows.js';
import type { Model } from '../model/model.js';
import type { RowsFile } from '../model/rows-file.js';
import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';

/** Options that every solver has, beside `solver`, its name; `eta` is its default of `userWeighting`. */
export const commonOptions = (eta: number) => ({
  l2: z
    .number()
    .positive()
    .optional()
    .describe('λ, added to the diagonal of the Gramian; by default derived from that diagonal'),
  serving: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe(
      'entries kept for each item in the serving matrix, 0 makes none; by default what ranks as the layers do',
    ),
  userWeighting: z
    .number()
    .min(0)
    .max(1)
    .default(eta)
    .describe('η: a user of d items counts 2^(−η⌊log₂ d⌋); 0 counts all alike'),
  signedServing: z
    .boolean()
    .optional()
    .describe(
      'whether negative entries count in the serving matrix; by default where the Gramian is dense enough',
    ),
  inputPower: z
    .number()
    .min(-2)
    .max(2)
    .optional()
    .describe(
      "an item of a user's history weighs G_ii^(−inputPower): above 0, popular ones say less; by default 0.2 with fsai and exact where less than half of the Gramian's entries are nonzero, and at least 256 an item, else 0",
    ),
  outputPower: z
    .number()
    .min(-2)
    .max(2)
    .default(0)
    .describe('scores of item j are times G_jj^(−outputPower): above 0, rare items come first'),
});

/** The part of a fit's options that every solver has. */
export interface CommonOptions {
  readonly solver: string;
  readonly l2?: number | undefined;
  readonly serving?: number | undefined;
  readonly userWeighting: number;
  readonly signedServing?: boolean | undefined;
  readonly inputPower?: number | undefined;
  readonly outputPower: number;
}

/**
 * A way to make a model of X, listed in `index.ts`. It answers for itself: nobody else asks which solver it is.
 * `O` is what its schema gives.
 */
export interface Solver<O extends CommonOptions = CommonOptions> {
  /** Described options: configuration, flags, help, signals and manifest come from it. */
  readonly options: z.ZodObject;
  /** Input that it needs: columns of G, or X itself, which a stored Gramian does not have. */
  readonly reads: 'gramian' | 'interactions';
  /** The option that decides how much memory a fit takes. */
  readonly sizedBy: string;
  /** Whether items decide how much memory a fit takes, whatever the interactions: a refusal then names how many fit. */
  readonly dense?: boolean;
  /** Bytes of a fit, stated beside its allocations. */
  room(size: SolverSize, options: O): SolverRoom;
  /** The largest value of `sizedBy` with which `fits` holds, if there is one. */
  smaller(options: O, n: number, fits: (options: O) => boolean): string | undefined;
  /** Entries of an item in the serving matrix, where `serving` is not given. */
  servingWidth(n: number, options: O, room: ServingRoom): number;
  /** Density of G from which on negative scores count in the serving matrix, where `signedServing` is not given; never without. */
  readonly signedFrom?: number;
  /** The `inputPower` of catalogues that are not dense, where it is not given; 0 without. */
  readonly inputPower?: number;
  /** The form of the vectors that its encoder has of items, where scores are products of these. */
  readonly vectors?: 'dense' | 'sparse';
  /** What it may read a pruned Gramian by: the exponent α of its patterns, and the fewest rows of a column that do. */
  pruning?(n: number, options: O, memoryBytes: number): { readonly alpha: number; readonly least: number };
  /** The options that are searched, for n items. */
  space(n: number): Space;
  /** @throws StageError what the solver fails with */
  solve(context: SolverContext, options: O): Solved;
  /** How it fits catalogues whose factor does not fit the memory at once, if its rows are independent. */
  readonly ranged?: RangedSolver<O>;
}

/** A fit of A⁻¹ ≈ KᵀD⁻¹K that holds a range of the rows of K at a time. */
export interface RangedSolver<O> {
  /** Most entries of a row of n items. */
  rowEntries(n: number, options: O, memoryBytes: number): number;
  /** Bytes in the arena: beside a range of rows at most, and of each of its rows. */
  room(size: SolverSize, options: O): { readonly fixed: number; readonly row: number };
  /** Appends all rows to `rows`, as many at a time as the first `bytes` of the arena hold, and one at least. */
  solve(
    context: SolverContext,
    options: O,
    rows: RowsFile,
    bytes: number,
  ): Pick<Solved, 'l2'> & { readonly details: Omit<SolverReport, 'factorEntries'> };
}

/** The kind of a serving matrix, and the budget of the fit. */
export interface ServingRoom {
  readonly signed: boolean;
  readonly memoryBytes: number;
  /** Density of G; a plan does not know it, and takes the widest rows. */
  readonly density?: () => number;
}

/** Refuses a solver that reads interactions where there is only a Gramian: `INTERACTIONS_NEEDED`. */
export function assertReadable(
  { reads }: Pick<Solver, 'reads'>,
  mode: GramianMode,
  { solver }: CommonOptions,
): void {
  if (reads === 'gramian' || mode === 'implicit') return;
  throw new StageError(
    'INTERACTIONS_NEEDED',
    `The solver ${solver} reads the interactions, and this fit has only a ${mode} Gramian of them.`,
  );
}

/** The sizes that decide how much memory a solver takes. */
export interface SolverSize {
  readonly users: number;
  readonly items: number;
  /** Nonzeros of X. */
  readonly entries: number;
  /** Whether X has values other than 1, and whether users are weighted. */
  readonly valued: boolean;
  readonly weighted: boolean;
  readonly threads: number;
  /** The budget of the whole fit, and what X takes of it outside the arena. */
  readonly memoryBytes: number;
  readonly rowsBytes: number;
  readonly gramian: GramianRoom;
}

/** Upper bounds of what the arena holds. */
export interface SolverRoom {
  /** In each phase of the fit; give it the largest of them. */
  readonly phases: Readonly<Record<string, number>>;
  /** Of the layers alone. */
  readonly layers: number;
}

/** A searched option: values between two bounds, evenly or evenly by their logarithm, or a choice. */
export type Axis = {
  /** Several candidates in a row have the same value: they share the solver's passes over G. */
  readonly shared?: boolean;
} & (
  | {
      readonly low: number;
      readonly high: number;
      readonly log?: boolean;
      readonly whole?: boolean;
      /** The values are times the λ that the data suggest, see `defaultL2`. */
      readonly timesL2?: boolean;
    }
  | { readonly choices: readonly (number | boolean)[] }
);

/** Axes by the name of their option. */
export type Space = Readonly<Record<string, Axis>>;

/** The axes of the common options. */
export const weightingAxis: Axis = { choices: [0, 0.25, 0.5, 0.75] };
export const powerAxes: Space = {
  inputPower: { low: 0, high: 0.4 },
  outputPower: { choices: [0, 0.05, 0.1] },
};
export const servingAxis: Axis = { low: 20, high: 200, log: true, whole: true };

/** The stages of a fit, in order; not every solver has each. */
export type FitStage = 'order' | 'scale' | 'factor' | 'inverse' | 'weights' | 'serving';

/** Input and resources of a solver. */
export interface SolverContext {
  readonly arena: Arena;
  readonly threads: Threads;
  readonly gramian: Gramian;
  /** X by item; always given to a solver that reads interactions. */
  readonly rows: Rows | undefined;
  /** G_jj by item. */
  readonly diagonal: Float64Array;
  /** Share of nonzeros of G, found when it is first asked for. */
  readonly density: () => number;
  /** Place of each item in ascending G_jj. */
  readonly positions: Int32Array;
  /** Units of G in 1. */
  readonly unit: number;
  /** Given where fits of one G on one engine follow one another. */
  readonly passes: Passes | undefined;
  /** Runs and times a stage, which may report its progress. */
  readonly stage: <T>(name: FitStage, run: (report: Report) => T) => T;
}

/** Results that fits of one G on one engine share. They stay at the bottom of the arena; nothing else may be allocated below. */
export interface Passes {
  shared?: SharedPasses | undefined;
}

/** A solver's own results, which it extends this with, by the settings that they depend on. */
export interface SharedPasses {
  /** Begins with the solver's name. */
  readonly key: string;
  readonly bottom: Address;
  readonly top: Address;
}

/** A solver's part of the report of a fit. */
export interface SolverReport {
  /** fsai: most other items in a row. */
  readonly neighbours?: number;
  /** Nonzeros of the factor: of L with icf, of K with fsai. */
  readonly factorEntries: number;
  /** fsai: times that G was read or computed. */
  readonly readings?: number;
  /** fsai: ranges of rows that were solved one after the other, where not all were in memory. */
  readonly ranges?: number;
  /** icf: shifts λ that were tried; the last one is in the factor. */
  readonly shifts?: readonly number[];
  /** icf: ‖I − LK‖²_F / n at the start and after each scan; elsa: the loss for a user before each step. */
  readonly losses?: readonly number[];
  /** icf: whether the last scan was undone because it raised the loss. */
  readonly undone?: boolean;
}

/** The result of a solver. */
export interface Solved {
  /** The model, in the arena. */
  readonly layers: Model;
  /** λ that was asked for or derived. */
  readonly l2: number;
  readonly details: SolverReport;
  /** Where the model is to be kept, above what is shared with other fits. */
  readonly bottom?: Address | undefined;
}
