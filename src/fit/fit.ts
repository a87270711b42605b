import { unitsOf } from '../gramian/weights.js';
import { itemWeights, scaleColumns, scaleRows } from '../model/item-weights.js';
import { type Model, parameters } from '../model/model.js';
import { servingMatrix } from '../model/serving.js';
import type { Address, Arena } from '../runtime/arena.js';
import { type Engine, onEngine, type Resources, type Threads } from '../runtime/threads.js';
import { denseGramian, thinGramian, wholeRows } from '../solvers/defaults.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import {
  assertReadable,
  type CommonOptions,
  type FitStage,
  type Passes,
  type Solver,
  type SolverContext,
  type SolverReport,
} from '../solvers/solver.js';
import { type GramianInput, openGramian } from './input.js';
import { degreeOrder, positionsOf } from './order.js';

export type { GramianInput } from './input.js';

/** Resources of a fit: kernel memory holds X, the factor and every workspace. */
export interface FitResources extends Resources {
  /** Hears how much of a stage is done, 0 … 1; what it throws ends the fit. */
  readonly report?: ((stage: FitStage, fraction: number) => void) | undefined;
  /** Results that fits of one G share, with an engine that is given. */
  readonly passes?: Passes | undefined;
}

/** Report of a fit, as plain JSON values; times are in seconds. */
export interface FitReport extends SolverReport {
  readonly items: number;
  /** Items with G_jj > 0. */
  readonly usedItems: number;
  readonly gramian: 'implicit' | 'stored';
  /** Rows kept of each column, where it was pruned. */
  readonly pruned?: number | undefined;
  readonly threads: number;
  /** λ that was asked for or derived. */
  readonly l2: number;
  readonly parameters: number;
  /** Entries kept for each item in the serving matrix, 0 if there is none. */
  readonly serving: number;
  /** What scores users: that matrix or, where there is none, both layers. */
  readonly servedBy: 'matrix' | 'layers';
  /** Whether its entries are the largest by magnitude, not the largest positive ones. */
  readonly signedServing: boolean;
  /** Exponents of the items' weights. */
  readonly inputPower: number;
  readonly outputPower: number;
  /** Share of the layers' NDCG that serving loses, if users could be asked. */
  readonly servingLoss?: number | undefined;
  /** Most bytes of kernel memory in use. */
  readonly workingBytes: number;
  readonly seconds: Readonly<Partial<Record<FitStage, number>>>;
}

/**
 * Fits a model: orders the items, runs the solver, and multiplies the layers of the serving matrix. Blocks the calling
 * thread until it is done. The model's arrays are views of the kernel memory: of an engine that is shared they hold
 * until it is released to where it stood.
 *
 * @throws StageError `NOT_POSITIVE_DEFINITE` after the last shift (icf), `MEMORY_BUDGET` when `memoryBytes` does not
 *   suffice, `OVERFLOW` when a sum of G may reach 2⁵³, `INTERACTIONS_NEEDED` when the solver cannot do with a Gramian.
 */
export const fit = (
  input: GramianInput,
  options: FitOptions,
  resources: FitResources = {},
): Promise<{ model: Model; report: FitReport }> => fitWith(solverOf(options), input, options, resources);

/** As `fit`, by a solver that need not be in the list. */
export async function fitWith<O extends CommonOptions>(
  solver: Solver<O>,
  input: GramianInput,
  options: O,
  resources: FitResources = {},
): Promise<{ model: Model; report: FitReport }> {
  assertReadable(solver, input.mode, options);
  return onEngine(resources, engine => fitOn(engine, solver, input, options, resources));
}

function fitOn<O extends CommonOptions>(
  { arena, threads }: Engine,
  solver: Solver<O>,
  input: GramianInput,
  options: O,
  { report = () => {}, passes }: FitResources,
): { model: Model; report: FitReport } {
  const { stage, seconds } = stageClock(report);
  const mark = arena.mark();
  const { context, signed, inputPower, about } = begin(arena, threads, solver, input, options, stage);
  const { gramian, diagonal } = context;
  try {
    const room = { signed, memoryBytes: arena.limit, density: context.density };
    const width = options.serving ?? solver.servingWidth(gramian.n, options, room);
    const { layers, l2, details, bottom } = solver.solve({ ...context, passes }, options);
    const model = keepLayers(arena, bottom ?? mark, layers);
    const { outputPower } = options;
    if (outputPower !== 0) scaleColumns(model.decoder, itemWeights(diagonal, outputPower));
    const serving =
      width > 0 ? stage('serving', () => servingMatrix(arena, threads, model, width, signed)) : undefined;
    if (inputPower !== 0) weightInput({ ...model, serving }, itemWeights(diagonal, inputPower));
    return {
      model: { ...model, serving },
      report: {
        ...about,
        l2,
        ...details,
        parameters: parameters(model),
        serving: width,
        servedBy: width > 0 ? 'matrix' : 'layers',
        signedServing: width > 0 && signed,
        inputPower,
        outputPower,
        workingBytes: arena.peak,
        seconds,
      },
    };
  } catch (error) {
    arena.release(mark);
    throw error;
  } finally {
    gramian.close();
  }
}

/** Opens the Gramian of a fit and orders its items; what the solver needs, and what is known before it runs. Close the Gramian. */
export function begin<O extends CommonOptions>(
  arena: Arena,
  threads: Threads,
  solver: Solver<O>,
  input: GramianInput,
  options: O,
  stage: SolverContext['stage'],
) {
  const mark = arena.mark();
  const rows = input.mode === 'implicit' ? input.rows : undefined;
  const gramian = openGramian(arena, threads, input, options.userWeighting);
  try {
    const diagonal = gramian.diagonal();
    const positions = stage('order', () => positionsOf(degreeOrder(diagonal)));
    const unit = unitsOf(input.scale, options.userWeighting);
    const about = {
      items: gramian.n,
      usedItems: diagonal.reduce((count, g) => count + (g > 0 ? 1 : 0), 0),
      gramian: input.mode,
      pruned: input.mode === 'stored' ? input.pruning?.keep : undefined,
      threads: threads.size,
    };
    let known: number | undefined;
    const density = () => (known ??= gramian.density());
    const context = { arena, threads, gramian, rows, diagonal, density, positions, unit, stage };
    return { context, about, ...derived(solver, options, gramian.n, density) };
  } catch (error) {
    gramian.close();
    arena.release(mark);
    throw error;
  }
}

/** Runs the stages of a fit: reports how far each is, and counts its seconds. */
export function stageClock(report: NonNullable<FitResources['report']>) {
  const seconds: Partial<Record<FitStage, number>> = {};
  const stage: SolverContext['stage'] = (name, run) => {
    report(name, 0);
    const begin = performance.now();
    const result = run(fraction => report(name, fraction));
    seconds[name] = (performance.now() - begin) / 1000;
    report(name, 1);
    return result;
  };
  return { stage, seconds };
}

/** Weights the items of a history by `q`: after the serving matrix is made, whose rows then keep their order. */
function weightInput({ encoder, serving }: Model, q: Float64Array): void {
  scaleRows(encoder, q);
  if (serving) scaleRows(serving, q);
}

/** Options that follow from the density of G where they are not given. */
function derived<O extends CommonOptions>(
  { signedFrom = Number.POSITIVE_INFINITY, inputPower: power = 0 }: Solver<O>,
  options: O,
  n: number,
  density: () => number,
): { readonly signed: boolean; readonly inputPower: number } {
  const signed = () => n <= wholeRows || (Number.isFinite(signedFrom) && density() >= signedFrom);
  const weighted = () => power !== 0 && density() < denseGramian && density() * n >= thinGramian;
  return {
    signed: options.serving !== 0 && (options.signedServing ?? signed()),
    inputPower: options.inputPower ?? (weighted() ? power : 0),
  };
}

/** Moves the layers to where the fit began in the arena; everything else of it goes. */
function keepLayers(arena: Arena, mark: Address, { n, encoder: W, decoder: Z, dimensions }: Model): Model {
  const arrays = [W.indptr, W.indices, W.data, Z.indptr, Z.indices, Z.data] as const;
  const [Wp, Wi, Wx, Zp, Zi, Zx] = arena.keep(mark, arrays, 'model');
  return {
    n,
    encoder: { ...W, indptr: Wp, indices: Wi, data: Wx },
    decoder: { ...Z, indptr: Zp, indices: Zi, data: Zx },
    dimensions,
  };
}
