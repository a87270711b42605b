import { databaseShare } from '../src/fit/memory.js';

/** Threads and their code, and what DuckDB allocates beside its limit (measured: 30 to 40 MiB). */
const runtimeShare = 40 * 2 ** 20;

/** What is open while a pipeline is. */
export interface Occupants {
  /** The limit of the state's DuckDB, where one is set. */
  readonly stateBytes?: number | undefined;
  readonly sources: number;
  /** Whether the sources are read at the same time, and beside everything else, or one after the other, alone. */
  readonly together: boolean;
}

/** The parts of a declared budget, in bytes. */
export interface Budget {
  /** The state's DuckDB, which is always open. */
  readonly state: number;
  /** Each source: its DuckDB, or a record batch as it is opened. */
  readonly source: number;
  /** A DuckDB that is opened for a step of a publication, or the part of a file that a sink maps. */
  readonly step: number;
  /** What is computed: a fold, a fit or a publication. */
  readonly work: number;
}

/**
 * Divides a budget. The state's DuckDB has its share, a quarter unless it is set, and the runtime its own. Two thirds of
 * the rest are for what is computed, in every process alike: plans and defaults that follow from it are the same in a
 * service, a command and a program. A third is for what is read or written beside that. Sources that are read alone have
 * seven eighths of the rest; the batches that they give are small beside that.
 */
export function divideBudget(memoryBytes: number, { stateBytes, sources, together }: Occupants): Budget {
  const state = stateBytes ?? databaseShare(memoryBytes);
  const rest = Math.max(0, memoryBytes - state - runtimeShare);
  const beside = Math.floor(rest / 3);
  return {
    state,
    source: together ? Math.floor(beside / Math.max(1, sources)) : Math.floor((7 * rest) / 8),
    step: Math.floor(rest / 4),
    work: rest - beside,
  };
}
