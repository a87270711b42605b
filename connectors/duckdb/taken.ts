import type { DuckDBDataChunk } from './client.js';
import type { Layout } from './judge.js';
import type { Field } from './project.js';
import { bytesIn } from './rows.js';

/** Rows [from, to) of a chunk; the first of them is number `first` of those taken. */
export interface Run {
  readonly chunk: DuckDBDataChunk;
  readonly from: number;
  readonly to: number;
  readonly first: number;
}

/** Rows that a query gave, as they lie in its chunks: a value is made when it is asked for. */
export class TakenRows {
  readonly layout: Layout;
  readonly runs: Run[] = [];
  count = 0;
  /** The run of the row that was asked for last. */
  #at = 0;

  constructor(layout: Layout) {
    this.layout = layout;
  }

  /** Takes rows [from, to) of a chunk. */
  add(chunk: DuckDBDataChunk, from: number, to: number): void {
    if (from === to) return;
    this.runs.push({ chunk, from, to, first: this.count });
    this.count += to - from;
  }

  #run(k: number): Run {
    while (this.#at > 0 && this.runs[this.#at]!.first > k) this.#at--;
    while (this.#at + 1 < this.runs.length && this.runs[this.#at + 1]!.first <= k) this.#at++;
    return this.runs[this.#at]!;
  }

  #value(k: number, column: number): unknown {
    const { chunk, from, first } = this.#run(k);
    return chunk.getColumnVector(column).getItem(from + k - first);
  }

  /** The fields of row k, in the order of the query's columns. */
  row(k: number): unknown[] {
    return Array.from(this.layout.fields.values(), column => this.#value(k, column));
  }

  /** The text of the cursor of row k; the query has one. */
  cursor(k: number): string {
    return this.#value(k, this.layout.cursor!) as string;
  }

  /** A field of some rows; `undefined` if the query does not have it. */
  values(field: Field, rows: readonly number[]): unknown[] | undefined {
    const column = this.layout.fields.get(field);
    return column === undefined ? undefined : rows.map(k => this.#value(k, column));
  }

  /** The values of a column. */
  column(c: number): unknown[] {
    return Array.from({ length: this.count }, (_, k) => this.#value(k, c));
  }

  /** Rows of which SQL was not sure: all, if it was not asked. */
  unsure(): number[] {
    const { sure } = this.layout;
    if (sure === undefined) return Array.from({ length: this.count }, (_, k) => k);
    const rows: number[] = [];
    for (const { chunk, from, to, first } of this.runs) {
      const flags = bytesIn({ chunk, rows: to }, sure, 'BOOLEAN', 1);
      for (let r = from; r < to; r++) if (flags[r] === 0) rows.push(first + r - from);
    }
    return rows;
  }
}
