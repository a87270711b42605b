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
  /** A DuckDB that is opened for a step of a publication: of a sink, of attributes or of signals. */
  readonly step: number;
  /** What is computed: a fold, a fit or a publication. */
  readonly work: number;
}

/**
 * Divides a budget. The state's DuckDB has its share, a quarter unless it is set, and the runtime its own. The rest is for
 * what is computed, less half of it for the sources while they are read beside that. A source that is read alone has seven
 * eighths of the rest; the batches that it gives are small beside that.
 */
export function divideBudget(memoryBytes: number, { stateBytes, sources, together }: Occupants): Budget {
  const state = stateBytes ?? databaseShare(memoryBytes);
  const rest = Math.max(0, memoryBytes - state - runtimeShare);
  const half = Math.floor(rest / 2);
  const beside = together && sources > 0;
  return {
    state,
    source: beside ? Math.floor(half / sources) : Math.floor((7 * rest) / 8),
    step: Math.floor(rest / 4),
    work: beside ? rest - half : rest,
  };
}
