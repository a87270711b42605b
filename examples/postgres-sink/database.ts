import pg from 'pg';

type Row = Readonly<Record<string, unknown>>;
/** Runs a statement. */
export type Query = (sql: string, values?: readonly unknown[]) => Promise<readonly Row[]>;

/** A database: a connection for what is written, one for the lease that is renewed meanwhile, and one for reading. */
export class Database {
  readonly #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({ connectionString: url, max: 3, connectionTimeoutMillis: 5000 });
    // A connection that breaks while nobody uses it is opened anew.
    this.#pool.on('error', () => undefined);
  }

  readonly query: Query = async (sql, values = []) => (await this.#pool.query<Row>(sql, [...values])).rows;

  /** Runs `body` in one transaction. */
  async transaction<T>(body: (query: Query) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let failure: Error | undefined;
    try {
      await client.query('BEGIN');
      const result = await body(async (sql, values = []) => (await client.query<Row>(sql, [...values])).rows);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(cause => {
        failure = cause;
      });
      throw error;
    } finally {
      client.release(failure);
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}
