import type { Ledger, ModelRecord, RunRecord, Signal, SignalResult } from '../../src/contracts/index.js';
import type { Manifest } from '../../src/contracts/manifest.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { all, type Row, type SerialConnection, scalar } from './database.js';
import { userHash } from './erased-ids.js';

const text = (x: unknown): string | undefined => (x === null || x === undefined ? undefined : String(x));
const time = 'make_timestamp(?::BIGINT * 1000)';
const now = (): bigint => BigInt(Date.now());

const runColumns = `id, job, trigger, status, epoch_ms(started_at) AS started, epoch_ms(finished_at) AS finished,
  detail, version, code`;
const asRun = (r: Row): RunRecord => ({
  id: Number(r.id),
  job: String(r.job),
  trigger: String(r.trigger),
  status: r.status as RunRecord['status'],
  startedAt: Number(r.started),
  finishedAt: r.finished === null ? undefined : Number(r.finished),
  detail: text(r.detail) ?? '',
  version: text(r.version),
  code: text(r.code),
});

const signalColumns = 'id, status, version, message, epoch_ms(finished_at) AS finished';
const asResult = (r: Row): SignalResult => ({
  id: String(r.id),
  status: r.status as SignalResult['status'],
  version: text(r.version),
  message: text(r.message) ?? '',
  finishedAt: Number(r.finished),
});

/** Runs that were under way when the process died: they may be started again. Called once at start. */
export async function markInterrupted(connection: DuckDBConnection): Promise<void> {
  await connection.run(
    `UPDATE runs SET status = 'interrupted', finished_at = ${time}, detail = 'the process ended'
     WHERE status = 'running'`,
    [now()],
  );
}

/** Runs of jobs. */
const openRuns = (
  serial: SerialConnection,
): Pick<Ledger, 'startRun' | 'endedRun' | 'madeBy' | 'endRun' | 'runs' | 'lastRuns'> => ({
  startRun: (job, trigger) =>
    serial.use(async c => {
      const id = Number(await scalar(c, 'SELECT coalesce(max(id) + 1, 1) FROM runs'));
      const values = [BigInt(id), job, trigger, now()];
      await c.run(`INSERT INTO runs VALUES (?, ?, ?, 'running', ${time}, NULL, '', NULL, NULL)`, values);
      return { id };
    }),

  async endedRun(job, trigger) {
    const sql = `SELECT ${runColumns} FROM runs
      WHERE job = ? AND trigger = ? AND status IN ('done', 'failed') ORDER BY runs.id`;
    return (await serial.all(sql, [job, trigger])).map(asRun)[0];
  },

  async madeBy(version) {
    const sql = `SELECT ${runColumns} FROM runs WHERE job = 'refit' AND version = ? AND status = 'done'`;
    return (await serial.all(sql, [version])).map(asRun)[0];
  },

  async endRun(id, outcome, model) {
    await serial.transaction(async c => {
      if (model) {
        await c.run(
          `INSERT INTO models SELECT ?, ${time}, ?, ?, false, coalesce(max(ordinal) + 1, 1) FROM models`,
          [model.version, BigInt(Date.parse(model.createdAt)), model.parent ?? null, JSON.stringify(model)],
        );
        failpoint('refit:registered');
      }
      const { status, detail, version = null, code = null } = outcome;
      await c.run(
        `UPDATE runs SET status = ?, finished_at = ${time}, detail = ?, version = ?, code = ? WHERE id = ?`,
        [status, now(), detail, version, code, BigInt(id)],
      );
    });
    if (model) failpoint('refit:committed');
  },

  async runs(limit, { job, since } = {}) {
    const sql = `SELECT ${runColumns} FROM runs
      WHERE ($1 IS NULL OR job = $1) AND ($2 IS NULL OR started_at >= make_timestamp($2::BIGINT * 1000))
      ORDER BY runs.id DESC LIMIT ${limit}`;
    return (await serial.all(sql, [job ?? null, since === undefined ? null : BigInt(Math.ceil(since))])).map(
      asRun,
    );
  },

  async lastRuns() {
    const sql = `SELECT ${runColumns} FROM runs QUALIFY runs.id = max(runs.id) OVER (PARTITION BY job)`;
    return (await serial.all(sql)).map(asRun);
  },
});

/** Models, and what was published of them. */
const openModels = (
  serial: SerialConnection,
): Pick<Ledger, 'models' | 'markPublished' | 'publications' | 'recordPublication' | 'forgetModel'> => ({
  async models() {
    const sql =
      'SELECT version, epoch_ms(created_at) AS created, manifest, published FROM models ORDER BY ordinal';
    return (await serial.all(sql)).map(
      (r): ModelRecord => ({
        version: String(r.version),
        createdAt: Number(r.created),
        manifest: JSON.parse(String(r.manifest)) as Manifest,
        published: r.published === true,
      }),
    );
  },

  markPublished: version => serial.run('UPDATE models SET published = (version = ?)', [version]),

  async publications() {
    const rows = await serial.all('SELECT DISTINCT version, content FROM publications');
    return rows.map(r => ({ version: String(r.version), content: String(r.content) }));
  },

  recordPublication: (version, content) =>
    serial.run('INSERT INTO publications VALUES (?, ?)', [version, content]),

  forgetModel: version =>
    serial.transaction(async c => {
      await c.run('INSERT INTO retired VALUES (?)', [version]);
      await c.run('DELETE FROM models WHERE version = ?', [version]);
      // No other model has a version of this name, with a number or without.
      await c.run("DELETE FROM publications WHERE split_part(version, '.', 1) = ?", [version]);
    }),
});

/** Times at which jobs are due. */
const openSchedules = (serial: SerialConnection): Pick<Ledger, 'due' | 'setDue' | 'dueTimes'> => ({
  async due(job, expression) {
    const sql = 'SELECT epoch_ms(due) FROM schedules WHERE job = ? AND expression = ?';
    const due = await serial.scalar(sql, [job, expression]);
    return due === undefined ? undefined : Number(due);
  },

  setDue: (job, expression, due) =>
    serial.transaction(async c => {
      await c.run('DELETE FROM schedules WHERE job = ?', [job]);
      await c.run(`INSERT INTO schedules VALUES (?, ?, ${time})`, [job, expression, BigInt(due)]);
    }),

  async dueTimes() {
    const rows = await serial.all('SELECT job, expression, epoch_ms(due) AS due FROM schedules');
    return rows.map(r => ({ job: String(r.job), expression: String(r.expression), due: Number(r.due) }));
  },
});

/** The options of a signal as text; a keyed hash stands for a user who is to be erased. */
async function optionsOf(connection: DuckDBConnection, { type, options }: Signal): Promise<string> {
  const erases = type === 'forget' && typeof options.user === 'string';
  return JSON.stringify(
    erases ? { ...options, user: `#${await userHash(connection, String(options.user))}` } : options,
  );
}

/** Signals and their results. */
const openSignals = (
  serial: SerialConnection,
): Pick<Ledger, 'claimSignal' | 'finishSignal' | 'unreported' | 'markReported' | 'signals'> => ({
  claimSignal: (source, signal) =>
    serial.transaction(async c => {
      const sql = `SELECT ${signalColumns} FROM signals WHERE source = ? AND id = ?`;
      const [known] = await all(c, sql, [source, signal.id]);
      if (known) return known.status === 'running' ? undefined : asResult(known);
      await c.run(`INSERT INTO signals VALUES (?, ?, ?, ?, ${time}, 'running', NULL, NULL, NULL, false)`, [
        source,
        signal.id,
        signal.type,
        await optionsOf(c, signal),
        BigInt(signal.requestedAt),
      ]);
      return undefined;
    }),

  async finishSignal(source, r) {
    await serial.run(
      `UPDATE signals SET status = ?, version = ?, message = ?, finished_at = ${time} WHERE source = ? AND id = ?`,
      [r.status, r.version ?? null, r.message, BigInt(r.finishedAt), source, r.id],
    );
    failpoint('signal:committed');
  },

  async unreported(source) {
    const sql = `SELECT ${signalColumns} FROM signals WHERE source = ? AND status <> 'running' AND NOT reported`;
    return (await serial.all(sql, [source])).map(asResult);
  },

  markReported: (source, id) =>
    serial.run('UPDATE signals SET reported = true WHERE source = ? AND id = ?', [source, id]),

  async signals(limit) {
    const sql = `SELECT source, type, epoch_ms(requested_at) AS requested, ${signalColumns} FROM signals
      ORDER BY requested_at DESC LIMIT ${limit}`;
    return (await serial.all(sql)).map(r => ({
      source: String(r.source),
      id: String(r.id),
      type: String(r.type),
      status: r.status as SignalResult['status'],
      version: text(r.version),
      message: text(r.message) ?? '',
      requestedAt: Number(r.requested),
      finishedAt: r.finished === null ? undefined : Number(r.finished),
    }));
  },
});

/** Runs, models, schedules and signals of an open state. */
export const openLedger = (serial: SerialConnection): Ledger => ({
  ...openRuns(serial),
  ...openModels(serial),
  ...openSchedules(serial),
  ...openSignals(serial),
});
