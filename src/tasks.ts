import { type Holdout, type Measured, type MeasureSettings, measure } from './evaluate/measure.js';
import type { HoldoutOptions } from './evaluate/options.js';
import { type SplitRows, split, type TimedRows } from './evaluate/split.js';
import { runTrial, type TrialInput, type TrialSession } from './evaluate/trial.js';
import type { TrialFigures } from './evaluate/tune.js';
import { type FitReport, fit, type GramianInput } from './fit/fit.js';
import { buildSegment } from './gramian/build.js';
import { compactSegments } from './gramian/compact.js';
import type { RowChanges, Rows } from './gramian/rows.js';
import type { SegmentFile } from './gramian/segment.js';
import { compareWithHistories } from './gramian/verify.js';
import { Arena } from './kernels.js';
import { parameters } from './model/model.js';
import { saveModel } from './model/weights-file.js';
import type { FitOptions } from './options.js';
import { createListMaker, type ListMaker, type ListModel, type MadeLists } from './publish/list-maker.js';
import type { ListRequest } from './publish/publish.js';
import type { ListKind } from './sink.js';
import { Threads } from './threads.js';

/** What makes the lists of the publication under way. */
let maker: ListMaker | undefined;

/** What the trials of the search that the thread serves share. */
let trials: TrialSession | undefined;

/** What a compute thread can be asked to do: plain data in, plain data out. */
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
    const fitted = await fit(input.gramian, input.options, { threads, memoryBytes, report });
    saveModel(input.path, fitted.model, { solver: input.options.solver });
    return { report: fitted.report, parameters: parameters(fitted.model) };
  },

  split: async (input: { rows: TimedRows; options: HoldoutOptions }): Promise<SplitRows> =>
    split(input.rows, input.options),

  /** Fits on one part of a holdout and measures on the other. */
  measure: (
    input: { holdout: Holdout; options: FitOptions; settings: MeasureSettings },
    report: (stage: string, part: number) => void,
  ): Promise<Measured> => measure(input.holdout, input.options, { ...input.settings, report }),

  /** Fits and measures a trial of a search; the thread keeps what its trials share. */
  trial(input: TrialInput): Promise<TrialFigures> {
    const { threads, memoryBytes } = input.settings;
    if (trials === undefined) {
      const arena = new Arena(memoryBytes);
      const engine = { arena, threads: new Threads(arena, threads ?? 1) };
      trials = { engine, passes: {}, bottom: arena.mark() };
    }
    return runTrial(trials, input);
  },

  segment: (input: {
    directory: string;
    scale: number;
    changes: RowChanges;
    threads: number;
    userWeighting: number;
  }) => buildSegment(input.directory, input.scale, input.changes, input.threads, input.userWeighting),

  async compact(input: {
    directory: string;
    segments: readonly SegmentFile[];
    n: number;
  }): Promise<SegmentFile> {
    return compactSegments(input.directory, input.segments, input.n);
  },

  verify: (input: {
    directory: string;
    segments: readonly SegmentFile[];
    rows: Rows;
    threads: number;
    userWeighting: number;
  }) => compareWithHistories(input.directory, input.segments, input.rows, input.threads, input.userWeighting),

  /** Loads a model that `lists` makes lists of, for some users or items at a time, after `openLists`. */
  async loadLists(input: ListModel): Promise<void> {
    await maker?.close();
    maker = createListMaker(input);
  },

  openLists: async (input: ListRequest): Promise<void> => maker!.open(input),

  async lists(input: { rows: Rows; kind: ListKind }): Promise<MadeLists> {
    return maker!.make(input.rows, input.kind);
  },
};

export type Tasks = typeof tasks;
