import { TensorSpool } from '../matrix/spool.js';
import { itemWeights } from '../model/item-weights.js';
import { finishLayers, type LayerSettings, writeDecoder, writeEncoder } from '../model/layers-file.js';
import { RowsFile } from '../model/rows-file.js';
import { collectGarbage } from '../runtime/collector.js';
import { type Engine, onEngine } from '../runtime/threads.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import type { RangedSolver } from '../solvers/solver.js';
import { begin, type FitReport, type FitResources, type GramianInput, stageClock } from './fit.js';
import type { FitRanges } from './ranges.js';

/**
 * Fits a model whose layers do not fit the memory and writes its weights to `path`: the file that `saveModel` would write
 * of the model that `fit` makes. Rows of the factor are solved range by range and spooled beside `path`, and the layers
 * made from that by ranges of items. Blocks the calling thread until it is done.
 *
 * @throws StageError as `fit`, and `MEMORY_BUDGET` when the ranges do not hold a single row or item.
 */
export function fitInRanges(
  path: string,
  input: GramianInput,
  options: FitOptions,
  ranges: FitRanges,
  resources: Omit<FitResources, 'engine' | 'passes' | 'memoryBytes'> = {},
): Promise<FitReport> {
  const memoryBytes = ranges.kernelBytes;
  const { ranged } = solverOf(options);
  if (!ranged) throw new RangeError(`the solver ${options.solver} does not fit in ranges`);
  return onEngine({ ...resources, memoryBytes }, engine => {
    const spool = new TensorSpool(path);
    try {
      return fitOn(engine, spool, ranged, input, options, ranges, resources);
    } finally {
      spool.close();
    }
  });
}

function fitOn(
  engine: Engine,
  spool: TensorSpool,
  ranged: RangedSolver<FitOptions>,
  input: GramianInput,
  options: FitOptions,
  { factorBytes, itemBytes, serving: width }: FitRanges,
  { report = () => {} }: FitResources,
): FitReport {
  const { stage, seconds } = stageClock(report);
  const { arena, threads } = engine;
  const { rows, diagonal, ...solved } = solveRows(engine, spool, ranged, input, options, factorBytes, stage);
  collectGarbage(); // the Gramian's tables
  const { signed, inputPower, about } = solved;
  const { outputPower } = options;
  const settings: LayerSettings = {
    width,
    signed,
    input: inputPower === 0 ? undefined : itemWeights(diagonal, inputPower),
    output: outputPower === 0 ? undefined : itemWeights(diagonal, outputPower),
  };
  const making = { arena, threads, rows, spool };
  stage('weights', () => {
    writeDecoder(making, settings);
    if (width === 0) writeEncoder(making, settings, itemBytes);
  });
  if (width > 0) stage('serving', () => writeEncoder(making, settings, itemBytes));
  rows.removeValues();
  finishLayers(spool, rows.n, width, { solver: options.solver });
  return {
    ...about,
    factorEntries: rows.entries,
    parameters: 2 * rows.entries,
    serving: width,
    servedBy: width > 0 ? 'matrix' : 'layers',
    signedServing: width > 0 && signed,
    inputPower,
    outputPower,
    workingBytes: arena.peak,
    seconds,
  };
}

/** The rows of the factor, spooled. Nothing of the Gramian stays. */
function solveRows(
  { arena, threads }: Engine,
  spool: TensorSpool,
  ranged: RangedSolver<FitOptions>,
  input: GramianInput,
  options: FitOptions,
  factorBytes: number,
  stage: ReturnType<typeof stageClock>['stage'],
) {
  const begun = begin(arena, threads, solverOf(options), input, options, stage);
  const { gramian, diagonal } = begun.context;
  try {
    const most = ranged.rowEntries(gramian.n, options, arena.limit);
    const rows = new RowsFile(arena, spool, gramian.n, most);
    const { l2, details } = ranged.solve({ ...begun.context, passes: undefined }, options, rows, factorBytes);
    const about = { ...begun.about, l2, ...details };
    return { rows, diagonal, signed: begun.signed, inputPower: begun.inputPower, about };
  } finally {
    gramian.close();
  }
}
