import type { Gramian } from '../gramian/columns.js';
import { implicitGramian } from '../gramian/implicit.js';
import { storedGramian } from '../gramian/stored.js';
import { unitsOf } from '../gramian/weights.js';
import type { Rows } from '../matrix/rows.js';
import { type Model, parameters } from '../model/model.js';
import { servingMatrix } from '../model/serving.js';
import type { FitOptions } from '../options.js';
import type { Address, Arena } from '../runtime/arena.js';
import { type Engine, onEngine, type Resources, type Threads } from '../runtime/threads.js';
import { defaultServing } from '../solvers/defaults.js';
import { fitFsai, type Passes } from '../solvers/fsai/solve.js';
import { fitIcf } from '../solvers/icf/solve.js';
import { degreeOrder } from './order.js';

/**
 * Where a fit gets G from. `scale` is the fixed-point scale of X: an entry v of G stands for v / scale², and where users
 * are weighted for that in `weightUnits`. Segments have the weights in them that the fit's `userWeighting` asks for.
 */
export type GramianInput =
  | { readonly mode: 'implicit'; readonly rows: Rows; readonly scale: number }
  | {
      readonly mode: 'stored';
      readonly paths: readonly string[];
      readonly n: number;
      readonly scale: number;
    };

/** What a fit may use: kernel memory holds X, the factor and every workspace. */
export interface FitResources extends Resources {
  /** Hears how much of a stage is done, 0 … 1; what it throws ends the fit. */
  readonly report?: ((stage: FitStage, fraction: number) => void) | undefined;
  /** With an engine of its own: what the fits of one G on it share. */
  readonly passes?: Passes | undefined;
}

/** The stages of a fit, in order; not every solver has each. */
export type FitStage = 'order' | 'scale' | 'factor' | 'inverse' | 'weights' | 'serving';

/** What a fit did, as plain JSON values; times are in seconds. */
export interface FitReport {
  readonly items: number;
  /** Items with G_jj > 0. */
  readonly usedItems: number;
  readonly gramian: 'implicit' | 'stored';
  readonly threads: number;
  /** λ that was asked for or derived. */
  readonly l2: number;
  /** Nonzeros of the factor: of L with icf, of K with fsai. */
  readonly factorEntries: number;
  /** icf: shifts λ that were tried; the last one is in the factor. */
  readonly shifts?: readonly number[];
  /** icf: ‖I − LK‖²_F / n at the start and after each scan. */
  readonly losses?: readonly number[];
  /** icf: whether the last scan raised the loss and was undone. */
  readonly undone?: boolean;
  readonly parameters: number;
  /** Entries kept for each item in the serving matrix, 0 if there is none. */
  readonly serving: number;
  /** Most bytes of kernel memory in use. */
  readonly workingBytes: number;
  readonly seconds: Readonly<Partial<Record<FitStage, number>>>;
}

/** What a solver works with. */
export interface FitContext {
  readonly arena: Arena;
  readonly threads: Threads;
  readonly gramian: Gramian;
  /** G_jj by item. */
  readonly diagonal: Float64Array;
  /** Place of each item in ascending G_jj. */
  readonly positions: Int32Array;
  /** Units of G in 1. */
  readonly unit: number;
  /** Runs and times a stage, which may tell how far it is. */
  readonly stage: <T>(name: FitStage, run: (report: (fraction: number) => void) => T) => T;
}

/** What a solver returns. */
export interface Solved {
  /** The model, in the arena. */
  readonly layers: Model;
  readonly l2: number;
  readonly details: Pick<FitReport, 'factorEntries' | 'shifts' | 'losses' | 'undone'>;
  /** Where the model is to be kept, above what is shared with other fits. */
  readonly bottom?: Address | undefined;
}

/**
 * Fits SANSA: orders the items, runs the solver, and multiplies the layers of the serving matrix. Blocks the calling
 * thread until it is done. The model's arrays are views of the kernel memory: of an engine that is shared they hold
 * until it is released to where it stood.
 *
 * @throws StageError `NOT_POSITIVE_DEFINITE` after the last shift (icf), `MEMORY_BUDGET` when `memoryBytes` does not
 *   suffice, `OVERFLOW` when a sum of G may reach 2⁵³.
 */
export function fit(
  input: GramianInput,
  options: FitOptions,
  resources: FitResources = {},
): Promise<{ model: Model; report: FitReport }> {
  return onEngine(resources, engine => fitOn(engine, input, options, resources));
}

function fitOn(
  { arena, threads }: Engine,
  input: GramianInput,
  options: FitOptions,
  { report = () => {}, passes }: FitResources,
): { model: Model; report: FitReport } {
  const seconds: Partial<Record<FitStage, number>> = {};
  const stage: FitContext['stage'] = (name, run) => {
    report(name, 0);
    const begin = performance.now();
    const result = run(fraction => report(name, fraction));
    seconds[name] = (performance.now() - begin) / 1000;
    report(name, 1);
    return result;
  };
  const mark = arena.mark();
  const gramian =
    input.mode === 'implicit'
      ? implicitGramian(arena, threads, input.rows, options.userWeighting)
      : storedGramian(arena, threads, input.paths, input.n, options.userWeighting);
  try {
    const diagonal = gramian.diagonal();
    const positions = stage('order', () => positionsOf(degreeOrder(diagonal)));
    const unit = unitsOf(input.scale, options.userWeighting);
    const context = { arena, threads, gramian, diagonal, positions, unit, stage };
    const { layers, l2, details, bottom } =
      options.solver === 'icf' ? fitIcf(context, options) : fitFsai(context, options, passes);
    const model = keepLayers(arena, bottom ?? mark, layers);
    const width = options.serving ?? defaultServing(gramian.n, options);
    const serving =
      width > 0 ? stage('serving', () => servingMatrix(arena, threads, model, width)) : undefined;
    return {
      model: { ...model, serving },
      report: {
        items: gramian.n,
        usedItems: diagonal.reduce((count, g) => count + (g > 0 ? 1 : 0), 0),
        gramian: input.mode,
        threads: threads.size,
        l2,
        ...details,
        parameters: parameters(model),
        serving: width,
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

/** Moves the layers to where the fit began in the arena; everything else of it goes. */
function keepLayers(arena: Arena, mark: Address, { n, encoder: W, decoder: Z }: Model): Model {
  const arrays = [W.indptr, W.indices, W.data, Z.indptr, Z.indices, Z.data] as const;
  const [Wp, Wi, Wx, Zp, Zi, Zx] = arena.keep(mark, arrays, 'model');
  const layer = (indptr: Int32Array, indices: Int32Array, data: Float32Array) => ({
    rows: n,
    columns: n,
    indptr,
    indices,
    data,
  });
  return { n, encoder: layer(Wp, Wi, Wx), decoder: layer(Zp, Zi, Zx) };
}

/** The inverse of an order: the position of each item. */
function positionsOf(order: Int32Array): Int32Array {
  const positions = new Int32Array(order.length);
  for (let k = 0; k < order.length; k++) positions[order[k]!] = k;
  return positions;
}
