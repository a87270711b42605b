import type { CursorBorder } from './border.js';
import { all } from './database.js';
import { quoted } from './project.js';
import type { Query } from './query.js';

/** Rows that a source will never give, warned of once for each growth. `checkMs` lies between two counts. */
export class Overlooked {
  readonly #checkMs: number;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** What the last check counted: rows without a cursor, or all rows where there is no cursor. */
  #counted = 0;
  #warnings: string[] = [];

  constructor(checkMs: number) {
    this.#checkMs = checkMs;
  }

  /** The warnings since the last call. */
  warnings(): readonly string[] {
    const said = this.#warnings;
    this.#warnings = [];
    return said;
  }

  get due(): boolean {
    return Date.now() - this.#checkedAt >= this.#checkMs;
  }

  /** Warns of rows that were lost: `taken` were taken, and the query must keep them. */
  async countAll({ connection, from }: Query, taken: number): Promise<void> {
    this.#checkedAt = Date.now();
    const [row] = await all(connection, `SELECT count(*) AS rows FROM ${from}`);
    const rows = Number(row!.rows);
    if (rows < taken && rows !== this.#counted) {
      this.#warnings.push(
        `the query gives ${rows} rows, of which ${taken} were taken before: without a cursor it must keep its rows and their order`,
      );
    }
    this.#counted = rows;
  }

  /** Warns of rows that were inserted up to the border, and of rows without a cursor. */
  async countBehind({ connection, from, cursor }: Query, border: CursorBorder): Promise<void> {
    this.#checkedAt = Date.now();
    const { name, type } = cursor!;
    const { token } = border;
    const column = quoted(name);
    const behind = token ? `count(*) FILTER (${column} <= ?::${type})` : '0';
    const [row] = await all(
      connection,
      `SELECT ${behind} AS behind, count(*) FILTER (${column} IS NULL) AS nulls FROM ${from}`,
      token ? [token.cursor] : [],
    );
    const [rows, nulls] = [Number(row!.behind), Number(row!.nulls)];
    if (token && rows > token.known) {
      this.#warnings.push(
        `${rows - token.known} rows appeared with a ${name} at or before ${token.cursor}, which was read already: they are not taken; choose a cursor that only grows`,
      );
    }
    border.account(rows);
    if (nulls > this.#counted) this.#warnings.push(`${nulls} rows have no ${name}: they are not taken`);
    this.#counted = nulls;
  }
}
