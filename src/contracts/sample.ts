/** A column of a table, or a path in the values of records, as the first rows show it. */
export interface SampledColumn {
  readonly name: string;
  readonly type: string;
  /** Share of the rows without a value, 0 … 1. */
  readonly missing: number;
  /** Whether every row has a value of its own. */
  readonly unique: boolean;
  /** The smallest number; undefined where a value is no number. */
  readonly smallest: number | undefined;
  /** A value as text; empty if there is none. */
  readonly example: string;
}

/** A look at data before anything is taken in. */
export interface Sample {
  /** Where the data is: a file, a table, a topic. */
  readonly where: string;
  readonly rows: number;
  readonly columns: readonly SampledColumn[];
}
