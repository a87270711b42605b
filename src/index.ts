/** The stage without its connectors: contracts, pure functions and the pipeline that joins them. */
export type * from './contracts/index.js';
export { silent } from './contracts/index.js';
export type { Manifest } from './contracts/manifest.js';
export { type ErrorCode, StageError } from './errors.js';
export { type EvaluateSettings, evaluate, measureLists } from './evaluate/evaluate.js';
export {
  type GateOptions,
  gateOptions,
  type MeasureOptions,
  type ModelMetrics,
  type Verdict,
  verdict,
} from './evaluate/gate.js';
export { type Holdout, type Measured, type MeasureSettings, measure } from './evaluate/measure.js';
export {
  type Bootstrap,
  type Catalogue,
  createTally,
  type Measure,
  type Metrics,
  measures,
} from './evaluate/metrics.js';
export { type HoldoutOptions, holdoutOptions } from './evaluate/options.js';
export {
  behind,
  cutAt,
  divide,
  leaveLastOut,
  randomShare,
  sampleUsers,
  split,
  type TimedRows,
} from './evaluate/split.js';
export { type FitReport, type FitResources, fit, type GramianInput } from './fit/fit.js';
export { openSegment, type Segment, type SegmentFile } from './gramian/segment.js';
export { readColumns } from './gramian/sum.js';
export { type ColumnBlock, rowUpdate } from './gramian/update.js';
export { fromNothing, type RowChanges, type Rows } from './matrix/rows.js';
export { type CsrMatrix, type Model, parameters } from './model/model.js';
export type { Choice, RankedRows } from './model/rank.js';
export { popularItems, type RecommendSettings, recommendAll } from './model/recommend.js';
export { createScorer, recommend, type Scorer, similar } from './model/score.js';
export { loadModel, saveModel } from './model/weights-file.js';
export { publish } from './publish/publish.js';
export { Arena } from './runtime/arena.js';
export { Threads } from './runtime/threads.js';

export { type FsaiOptions, fsaiOptions } from './solvers/fsai/options.js';
export { type IcfOptions, icfOptions } from './solvers/icf/options.js';
export { type FitOptions, fitOptions } from './solvers/index.js';
export { maxFixedPoint } from './stages/event-weight.js';
export { decodeEvents, type Operation, operations } from './stages/events.js';
export { maxIdBytes } from './stages/identifier.js';
export { type StageOptions, stageOptions } from './stages/options.js';

export { joinPipeline, type Stage } from './stages/pipeline.js';
export {
  type Trial,
  type TunedOptions,
  type TuneOptions,
  type TuneResult,
  tuneOptions,
} from './tune/tune.js';
