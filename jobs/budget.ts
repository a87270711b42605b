import { roomOfCsv } from '../connectors/duckdb/room.js';
import { StageError } from '../src/errors.js';
import { databaseShare } from '../src/fit/memory.js';

const mebibyte = 2 ** 20;

/** Threads and their code, and what the state's DuckDB and one more allocate beside their limits (measured: 30 to 40 MiB). */
const runtimeShare = 40 * mebibyte;
/** What each further DuckDB allocates beside its limit (measured: 10 MiB). */
const instanceShare = 12 * mebibyte;

/** What is open while a pipeline is. */
export interface Occupants {
  /** The limit of the state's DuckDB, where one is set. */
  readonly stateBytes?: number | undefined;
  /** Sources that wait for more, such as topics. */
  readonly streams: number;
  /** Sources that are read to an end, each in a DuckDB of its own. */
  readonly tables: number;
  /** Sinks that open a DuckDB or map a file while lists are published to all of them. */
  readonly sinks: number;
  /**
   * When sources are read: one after the other and `alone`; `beside` each other and everything else, at any time; or in a
   * `service`, which can have tables take turns with its jobs.
   */
  readonly reading: 'alone' | 'beside' | 'service';
}

/** The parts of a declared budget, in bytes. */
export interface Budget {
  /** The state's DuckDB, which is always open. */
  readonly state: number;
  /** Each source that waits: a record batch as it is opened. */
  readonly stream: number;
  /** Each table: its DuckDB. */
  readonly table: number;
  /** A DuckDB that is opened for a step of a publication, or the part of a file that a sink maps: each has as much. */
  readonly step: number;
  /** What is computed: a fold, a fit or a publication. */
  readonly work: number;
  /** Whether tables and jobs take turns: side by side there is no room for them. */
  readonly inTurns: boolean;
}

/**
 * Divides a budget. The state's DuckDB has its share, a quarter unless it is set, and the runtime its own, with what
 * each sink more takes beside its step. Two thirds of the rest are for what is computed, in every process alike: plans
 * and defaults that follow from it are the same in a service, a command and a program. A third is for what is read or
 * written beside that. Sources that are read alone have seven eighths of the rest; the batches that they give are small
 * beside that. In a service, tables for which a third of the rest is less than they may need take turns with the jobs.
 * Then each has as much as if it was read alone, up to that need, so that more memory never means less of it.
 */
export function divideBudget(memoryBytes: number, occupants: Occupants): Budget {
  const { stateBytes, streams, tables, sinks, reading } = occupants;
  const state = stateBytes ?? databaseShare(memoryBytes);
  const further = Math.max(0, sinks - 1);
  const rest = Math.max(0, memoryBytes - state - runtimeShare - further * instanceShare);
  const beside = Math.floor(rest / 3);
  const step = Math.floor(rest / Math.max(4, 3 * sinks));
  const parts = { state, step, work: rest - beside };
  const alone = Math.floor((7 * rest) / 8);
  if (reading === 'alone') return { ...parts, stream: alone, table: alone, inTurns: false };
  const each = Math.floor(beside / Math.max(1, streams + tables));
  const turn = Math.min(roomOfCsv, streams > 0 ? Math.floor((7 * (rest - beside)) / 8) : alone);
  const inTurns = reading === 'service' && tables > 0 && each < turn;
  return { ...parts, stream: each, table: inTurns ? turn : each, inTurns };
}

/** The least budget, in whole MiB, whose `part` has so many bytes. */
export function leastBudget(
  bytes: number,
  part: 'state' | 'stream' | 'table' | 'step' | 'work',
  occupants: Occupants,
): number {
  let [lo, hi] = [0, 2 ** 24];
  while (hi - lo > 1) {
    const middle = Math.floor((lo + hi) / 2);
    if (divideBudget(middle * mebibyte, occupants)[part] >= bytes) hi = middle;
    else lo = middle;
  }
  return hi * mebibyte;
}

/** The least room that sinks work in (measured). */
const leastStep = 8 * mebibyte;

/** `MEMORY_BUDGET` if a sink would have less than it needs while all of them are written to. */
export function assertSteps(stepBytes: number, occupants: Occupants): void {
  if (occupants.sinks === 0 || stepBytes >= leastStep) return;
  const least = leastBudget(leastStep, 'step', occupants) / mebibyte;
  throw new StageError(
    'MEMORY_BUDGET',
    `memory: a publication to ${occupants.sinks} sinks at a time does not fit into it; \`memory: ${least}MiB\` would do`,
  );
}
