import type { ListKind } from '../contracts/sink.js';
import type { Holdout, Measured, MeasureSettings } from '../evaluate/measure.js';
import type { HoldoutOptions } from '../evaluate/options.js';
import type { SplitRows, TimedRows } from '../evaluate/split.js';
import type { FitReport, GramianInput } from '../fit/fit.js';
import type { SegmentFile } from '../gramian/segment.js';
import type { RowChanges, Rows } from '../matrix/rows.js';
import type { ListMaker, ListModel, ListWeights, LoadedWeights, MadeLists } from '../publish/list-maker.js';
import type { ListRequest } from '../publish/publish.js';
import type { FitOptions } from '../solvers/index.js';
import type { TrialInput, TrialSession } from '../tune/trial.js';
import type { TrialFigures } from '../tune/tune.js';

/** The model of the publication under way, and what makes its lists. */
let weights: LoadedWeights | undefined;
let maker: ListMaker | undefined;

/** What the trials of the search that the thread serves share. */
let trials: TrialSession | undefined;

/** What a compute thread can be asked to do: plain data in, plain data out. It loads what it needs when it is asked. */
export const tasks = {
  /** Fits a model and writes its weights to `path`. */
  async fit(
    input: {
      gramian: GramianInput;
      options: FitOptions;
      path: string;
      threads: number | undefined;
      memoryBytes: number | undefined;
    },
    report: (stage: string, part: number) => void,
  ): Promise<{ report: FitReport; parameters: number }> {
    const { threads, memoryBytes } = input;
    const { fit } = await import('../fit/fit.js');
    const { saveModel } = await import('../model/weights-file.js');
    const { parameters } = await import('../model/model.js');
    const fitted = await fit(input.gramian, input.options, { threads, memoryBytes, report });
    saveModel(input.path, fitted.model, { solver: input.options.solver });
    return { report: fitted.report, parameters: parameters(fitted.model) };
  },

  async split(input: { rows: TimedRows; options: HoldoutOptions }): Promise<SplitRows> {
    const { split } = await import('../evaluate/split.js');
    return split(input.rows, input.options);
  },

  /** Fits on one part of a holdout and measures on the other. */
  async measure(
    input: { holdout: Holdout; options: FitOptions; settings: MeasureSettings },
    report: (stage: string, part: number) => void,
  ): Promise<Measured> {
    const { measure } = await import('../evaluate/measure.js');
    return measure(input.holdout, input.options, { ...input.settings, report });
  },

  /** Fits and measures a trial of a search; the thread keeps what its trials share. */
  async trial(input: TrialInput): Promise<TrialFigures> {
    const { beginTrials, runTrial } = await import('../tune/trial.js');
    const { threads, memoryBytes } = input.settings;
    trials ??= beginTrials(threads, memoryBytes);
    return runTrial(trials, input);
  },

  async segment(input: {
    directory: string;
    scale: number;
    changes: RowChanges;
    threads: number;
    userWeighting: number;
  }) {
    const { buildSegment } = await import('../gramian/build.js');
    return buildSegment(input.directory, input.scale, input.changes, input.threads, input.userWeighting);
  },

  async compact(input: {
    directory: string;
    segments: readonly SegmentFile[];
    n: number;
  }): Promise<SegmentFile> {
    const { compactSegments } = await import('../gramian/compact.js');
    return compactSegments(input.directory, input.segments, input.n);
  },

  async verify(input: {
    directory: string;
    segments: readonly SegmentFile[];
    rows: Rows;
    threads: number;
    userWeighting: number;
  }) {
    const { directory, segments, rows, threads, userWeighting } = input;
    const { compareWithHistories } = await import('../gramian/verify.js');
    return compareWithHistories(directory, segments, rows, threads, userWeighting);
  },

  /** Loads and compiles what the next lists take. */
  async readyLists(_: undefined) {
    const { rehearse } = await import('../publish/list-maker.js');
    rehearse();
  },

  /** Loads the weights of a model; `openLists` then readies its lists, and `lists` makes them. */
  async loadLists(input: ListWeights): Promise<void> {
    const { loadWeights } = await import('../publish/list-maker.js');
    await weights?.close();
    weights = loadWeights(input);
  },

  async openLists(input: { model: ListModel; request: ListRequest }): Promise<void> {
    maker = weights!.open(input.model, input.request);
  },

  async lists(input: { rows: Rows; kind: ListKind }): Promise<MadeLists> {
    return maker!.make(input.rows, input.kind);
  },
};

export type Tasks = typeof tasks;
