import {
  type Access,
  type Amendment,
  assertExpected,
  type Draft,
  decodeList,
  type EncodedLists,
  type ErasedIds,
  encodeRanked,
  type ForgottenLists,
  hasDied,
  type ListCounts,
  type ListKind,
  type ListStore,
  leaseLost,
  type Move,
  mayFollow,
  notComplete,
  Refusal,
  type StoredPublication,
  sinkVersion,
  withoutItems,
} from 'sansa-stream/connector';
import { Database, type Query } from './database.js';

const format = { encoding: 'json', stamped: false } as const;

/** The lists as the parameters of a statement; the last one of an id counts. */
function parametersOf({ ids, bytes, offsets }: EncodedLists): readonly [string[], string[]] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const lists = new Map(ids.map((id, r) => [id, text.toString('utf8', offsets[r]!, offsets[r + 1]!)]));
  return [[...lists.keys()], [...lists.values()]];
}

/**
 * Versions of lists in tables of Postgres. `<t>_lists` has a row a list, `<t>_versions` a row a version, with its manifest
 * once it is complete, `<t>_pointers` the version of each alias, `<t>_lease` who may write. The view `<t>` shows the lists of
 * the champion: a statement reads one whole version.
 *
 * Whatever is written is one transaction that holds the row of the lease, so that nobody can take the lease before its end.
 */
export class PostgresLists implements ListStore<EncodedLists> {
  readonly #url: string;
  readonly #table: string;
  readonly #leaseMs: number;
  #opened: Database | undefined;

  constructor(url: string, table: string, leaseMs: number) {
    this.#url = url;
    this.#table = table;
    this.#leaseMs = leaseMs;
  }

  get #database(): Database {
    return this.#opened!;
  }

  async open(access: Access, owner?: string): Promise<boolean> {
    const t = this.#table;
    const database = new Database(this.#url);
    try {
      const [found] = await database.query(`SELECT to_regclass('${t}_pointers') IS NOT NULL AS there`);
      if (access === 'read' && !found!.there) {
        await database.close();
        return false;
      }
      this.#opened = database;
      if (access === 'write') await this.#make(owner);
      return true;
    } catch (error) {
      this.#opened = undefined;
      await database.close();
      throw error;
    }
  }

  /** Makes the tables, and takes away the lease of a process that died. */
  async #make(owner: string | undefined): Promise<void> {
    const t = this.#table;
    await this.#database.transaction(async query => {
      // Two sinks may make them at the same time.
      await query(`SELECT pg_advisory_xact_lock(hashtext('${t}'))`);
      await query(`CREATE TABLE IF NOT EXISTS ${t}_lists
        (version text, kind text, id text, list json NOT NULL, PRIMARY KEY (version, kind, id))`);
      await query(`CREATE TABLE IF NOT EXISTS ${t}_versions (version text PRIMARY KEY, manifest json)`);
      await query(`CREATE TABLE IF NOT EXISTS ${t}_pointers (alias text PRIMARY KEY, version text NOT NULL)`);
      await query(`CREATE TABLE IF NOT EXISTS ${t}_lease
        (only_one boolean PRIMARY KEY, holder text, until timestamptz)`);
      await query(`INSERT INTO ${t}_lease VALUES (true) ON CONFLICT DO NOTHING`);
      await query(`CREATE OR REPLACE VIEW ${t} AS SELECT l.kind, l.id, l.list->'items' AS items, l.list->'scores' AS scores, l.version
        FROM ${t}_lists l JOIN ${t}_pointers p ON p.alias = 'champion' AND p.version = l.version`);
      const [lease] = await query(`SELECT holder FROM ${t}_lease FOR UPDATE`);
      if (lease!.holder !== null && hasDied(String(lease!.holder), owner))
        await query(`UPDATE ${t}_lease SET holder = NULL`);
    });
  }

  async close(): Promise<void> {
    const database = this.#opened;
    this.#opened = undefined;
    await database?.close();
  }

  takeLease(holder: string): Promise<string | undefined> {
    const t = this.#table;
    return this.#database.transaction(async query => {
      const [lease] = await query(
        `SELECT holder, until > clock_timestamp() AS runs FROM ${t}_lease FOR UPDATE`,
      );
      const { holder: found, runs } = lease as { holder: string | null; runs: boolean };
      if (found !== null && runs && !mayFollow(found, holder)) return found;
      await query(`UPDATE ${t}_lease SET holder = $1, until = ${this.#until}`, [holder]);
      return undefined;
    });
  }

  get #until(): string {
    return `clock_timestamp() + interval '${this.#leaseMs} milliseconds'`;
  }

  async renewLease(holder: string): Promise<boolean> {
    return this.#renew(this.#database.query, holder);
  }

  async #renew(query: Query, holder: string): Promise<boolean> {
    const sql = `UPDATE ${this.#table}_lease SET until = ${this.#until}
      WHERE holder = $1 RETURNING true`;
    return (await query(sql, [holder])).length > 0;
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#database.query(`UPDATE ${this.#table}_lease SET holder = NULL WHERE holder = $1`, [holder]);
  }

  /** Runs `body` in a transaction, as the holder of the lease. */
  #holding<T>(holder: string, body: (query: Query) => Promise<T>): Promise<T> {
    return this.#database.transaction(async query => {
      if (!(await this.#renew(query, holder))) throw leaseLost();
      const result = await body(query);
      // That may have taken longer than a lease lasts; nobody could take it meanwhile.
      await query(`UPDATE ${this.#table}_lease SET until = ${this.#until}`);
      return result;
    });
  }

  async begin(version: string, _: unknown, holder: string): Promise<Draft<EncodedLists>> {
    const t = this.#table;
    await this.#holding(holder, async query => {
      await this.#clear(query);
      await query(`INSERT INTO ${t}_versions VALUES ($1)`, [version]);
    });
    return {
      lists: { users: 0, items: 0 },
      put: (kind, lists) => this.#holding(holder, query => this.#put(query, version, kind, lists)),
      complete: manifest => this.#holding(holder, query => this.#complete(query, manifest)),
      abandon: async () => undefined,
    };
  }

  /** Deletes what attempts have left that did not complete. */
  async #clear(query: Query): Promise<void> {
    const t = this.#table;
    const unfinished = `SELECT version FROM ${t}_versions WHERE manifest IS NULL`;
    await query(`DELETE FROM ${t}_lists WHERE version IN (${unfinished})`);
    await query(`DELETE FROM ${t}_versions WHERE manifest IS NULL`);
  }

  async #put(query: Query, version: string, kind: ListKind, lists: EncodedLists): Promise<number> {
    const [ids, texts] = parametersOf(lists);
    await query(
      `INSERT INTO ${this.#table}_lists SELECT $1, $2, id, list::json FROM unnest($3::text[], $4::text[]) l(id, list)
       ON CONFLICT (version, kind, id) DO UPDATE SET list = excluded.list`,
      [version, kind, ids, texts],
    );
    return ids.length;
  }

  async #complete(query: Query, manifest: StoredPublication): Promise<void> {
    const lists = await this.#counts(query, manifest.version);
    await this.#note(query, { ...manifest, lists });
  }

  async #note(query: Query, manifest: StoredPublication): Promise<void> {
    const sql = `UPDATE ${this.#table}_versions SET manifest = $2 WHERE version = $1`;
    await query(sql, [manifest.version, JSON.stringify(manifest)]);
  }

  async #counts(query: Query, version: string): Promise<ListCounts> {
    const sql = `SELECT kind, count(*)::integer AS count FROM ${this.#table}_lists WHERE version = $1 GROUP BY kind`;
    const found = new Map((await query(sql, [version])).map(r => [r.kind, Number(r.count)]));
    return { users: found.get('users') ?? 0, items: found.get('items') ?? 0 };
  }

  async #manifests(query: Query): Promise<StoredPublication[]> {
    const sql = `SELECT manifest FROM ${this.#table}_versions WHERE manifest IS NOT NULL ORDER BY version`;
    return (await query(sql)).map(r => r.manifest as StoredPublication);
  }

  versions = async () => (await this.#manifests(this.#database.query)).map(m => sinkVersion(m));

  pointers = async () => this.#named(this.#database.query);

  async #named(query: Query): Promise<Map<string, string>> {
    const rows = await query(`SELECT alias, version FROM ${this.#table}_pointers ORDER BY alias`);
    return new Map(rows.map(r => [String(r.alias), String(r.version)]));
  }

  current = async (alias: string) => (await this.pointers()).get(alias);

  async point({ alias, version, expected, holder }: Move): Promise<void> {
    const t = this.#table;
    const move = async (query: Query): Promise<void> => {
      // Nobody else moves a pointer, or deletes what it names, before this has ended.
      await query(`LOCK TABLE ${t}_pointers IN EXCLUSIVE MODE`);
      const manifest = (await this.#manifests(query)).find(m => m.version === version);
      if (!manifest) throw notComplete(version);
      const found = await this.#counts(query, version);
      for (const kind of ['users', 'items'] as const)
        if (found[kind] < manifest.lists[kind])
          throw new Refusal(`version ${version} lost lists of ${kind}; publish it again`);
      assertExpected(alias, (await this.#named(query)).get(alias), version, expected);
      await query(
        `INSERT INTO ${t}_pointers VALUES ($1, $2) ON CONFLICT (alias) DO UPDATE SET version = excluded.version`,
        [alias, version],
      );
    };
    await (holder === undefined ? this.#database.transaction(move) : this.#holding(holder, move));
  }

  async read(version: string, kind: ListKind, id: string): Promise<Uint8Array | undefined> {
    const sql = `SELECT list::text FROM ${this.#table}_lists WHERE version = $1 AND kind = $2 AND id = $3`;
    const [row] = await this.#database.query(sql, [version, kind, id]);
    return row && Buffer.from(String(row.list));
  }

  async amend(version: string, kind: ListKind, { lists, gone, change }: Amendment): Promise<void> {
    const t = this.#table;
    await this.#database.transaction(async query => {
      const sql = `SELECT manifest FROM ${t}_versions WHERE version = $1 AND manifest IS NOT NULL FOR UPDATE`;
      const [row] = await query(sql, [version]);
      if (!row) throw notComplete(version);
      const these = 'version = $1 AND kind = $2 AND id = ANY($3)';
      await query(`DELETE FROM ${t}_lists WHERE ${these}`, [version, kind, gone]);
      await this.#put(query, version, kind, encodeRanked(lists, format, version));
      const counts = await this.#counts(query, version);
      const news = { lists: counts, ...(change === undefined ? {} : { change }) };
      await this.#note(query, { ...(row.manifest as StoredPublication), ...news });
    });
  }

  /** Deletes and rewrites in one transaction, and then what was deleted is overwritten. */
  async forget({ users, items }: ErasedIds, holder: string): Promise<ForgottenLists> {
    const t = this.#table;
    const erased = new Set(items);
    const total = await this.#holding(holder, async query => {
      await this.#clear(query);
      const ids = `kind = 'users' AND id = ANY($1) OR kind = 'items' AND id = ANY($2)`;
      const deleted = await query(`DELETE FROM ${t}_lists WHERE ${ids} RETURNING true`, [users, items]);
      const holds = 'EXISTS (SELECT FROM json_array_elements_text(list->$1) i WHERE i = ANY($2))';
      const found = await query(`SELECT version, kind, id, list::text FROM ${t}_lists WHERE ${holds}`, [
        'items',
        items,
      ]);
      for (const { version, kind, id, list } of found) {
        const rest = withoutItems(decodeList(Buffer.from(String(list)), 'json'), erased)!;
        const encoded = encodeRanked([{ id: String(id), ...rest }], format, String(version));
        await this.#put(query, String(version), kind as ListKind, encoded);
      }
      for (const manifest of await this.#manifests(query))
        await this.#note(query, { ...manifest, lists: await this.#counts(query, manifest.version) });
      return { deleted: deleted.length, rewritten: found.length };
    });
    await this.#database.query(`VACUUM FULL ${t}_lists`);
    return {
      ...total,
      remains: ['the write-ahead log and backups of Postgres have the id until they are gone'],
    };
  }

  async remove(versions: readonly string[]): Promise<void> {
    const t = this.#table;
    await this.#database.transaction(async query => {
      await query(`LOCK TABLE ${t}_pointers IN EXCLUSIVE MODE`);
      const named = [...(await this.#named(query)).values()];
      const old = versions.filter(version => !named.includes(version));
      for (const table of ['lists', 'versions'])
        await query(`DELETE FROM ${t}_${table} WHERE version = ANY($1)`, [old]);
    });
  }
}
