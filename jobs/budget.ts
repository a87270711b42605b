import { roomOfCsv } from '../connectors/duckdb/room.js';
import { databaseShare } from '../src/fit/memory.js';

const mebibyte = 2 ** 20;

/** Threads and their code, and what DuckDB allocates beside its limit (measured: 30 to 40 MiB). */
const runtimeShare = 40 * mebibyte;

/** What is open while a pipeline is. */
export interface Occupants {
  /** The limit of the state's DuckDB, where one is set. */
  readonly stateBytes?: number | undefined;
  /** Sources that wait for more, such as topics. */
  readonly streams: number;
  /** Sources that are read to an end, each in a DuckDB of its own. */
  readonly tables: number;
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
  /** A DuckDB that is opened for a step of a publication, or the part of a file that a sink maps. */
  readonly step: number;
  /** What is computed: a fold, a fit or a publication. */
  readonly work: number;
  /** Whether tables and jobs take turns: side by side there is no room for them. */
  readonly inTurns: boolean;
}

/**
 * Divides a budget. The state's DuckDB has its share, a quarter unless it is set, and the runtime its own. Two thirds of
 * the rest are for what is computed, in every process alike: plans and defaults that follow from it are the same in a
 * service, a command and a program. A third is for what is read or written beside that. Sources that are read alone have
 * seven eighths of the rest; the batches that they give are small beside that. In a service, tables for which a third of
 * the rest is less than they may need take turns with the jobs. Then each has as much as if it was read alone, up to that
 * need, so that more memory never means less of it.
 */
export function divideBudget(memoryBytes: number, occupants: Occupants): Budget {
  const { stateBytes, streams, tables, reading } = occupants;
  const state = stateBytes ?? databaseShare(memoryBytes);
  const rest = Math.max(0, memoryBytes - state - runtimeShare);
  const beside = Math.floor(rest / 3);
  const parts = { state, step: Math.floor(rest / 4), work: rest - beside };
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
