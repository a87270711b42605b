/** The stage without its connectors: contracts, pure functions and the pipeline that joins them. */
export type * from './connector.js';
export { silent } from './connector.js';
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
export {
  type Trial,
  type TunedOptions,
  type TuneOptions,
  type TuneResult,
  tuneOptions,
} from './evaluate/tune.js';
export { decodeEvents, maxFixedPoint, maxIdBytes, type Operation, operations } from './events.js';
export { type FitReport, type FitResources, fit, type GramianInput } from './fit/fit.js';
export { fromNothing, type RowChanges, type Rows } from './gramian/rows.js';
export { openSegment, type Segment, type SegmentFile } from './gramian/segment.js';
export { type ColumnBlock, rowUpdate } from './gramian/update.js';
export { Arena } from './kernels.js';
export { type CsrMatrix, type Model, parameters } from './model/model.js';
export { createScorer, recommend, type Scorer, similar } from './model/score.js';
export type { Manifest } from './model/version.js';
export { loadModel, saveModel } from './model/weights-file.js';
export { type FitOptions, fitOptions, type StageOptions, stageOptions } from './options.js';
export { joinPipeline, type Stage } from './pipeline.js';
export { publish } from './publish/publish.js';
export { Threads } from './threads.js';
