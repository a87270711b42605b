import type { Ledger, ModelRecord, RunRecord, Signal, SignalResult } from '../../src/contracts/index.js';
import type { Manifest } from '../../src/contracts/manifest.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { all, type Row, type SerialConnection, scalar, transaction } from './database.js';
import { userHash } from './erased-ids.js';

const text = (x: unknown): string | undefined => (x === null || x === undefined ? undefined : String(x));
const time = 'make_timestamp(?::BIGINT * 1000)';
const now = (): bigint => BigInt(Date.now());

const runColumns = `id, job, trigger, status, epoch_ms(started_at) AS started, epoch_ms(finished_at) AS finished,
  detail, version`;
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

/** What was run. */
function openRuns(
  serial: SerialConnection,
): Pick<Ledger, 'startRun' | 'endedRun' | 'madeBy' | 'endRun' | 'runs'> {
  return {
    startRun: (job, trigger) =>
      serial.use(async c => {
        const id = Number(await scalar(c, 'SELECT coalesce(max(id) + 1, 1) FROM runs'));
        const values = [BigInt(id), job, trigger, now()];
        await c.run(`INSERT INTO runs VALUES (?, ?, ?, 'running', ${time}, NULL, '', NULL, NULL)`, values);
        return { id };
      }),

    endedRun: (job, trigger) =>
      serial.use(async c => {
        const rows = await all(
          c,
          `SELECT ${runColumns}, code FROM runs WHERE job = ? AND trigger = ? AND status IN ('done', 'failed') ORDER BY runs.id`,
          [job, trigger],
        );
        return rows.map(asRun)[0];
      }),

    madeBy: version =>
      serial.use(async c => {
        const sql = `SELECT ${runColumns} FROM runs WHERE job = 'refit' AND version = ? AND status = 'done'`;
        return (await all(c, sql, [version])).map(asRun)[0];
      }),

    endRun: (id, outcome, model) =>
      serial.use(async c => {
        await transaction(c, async () => {
          if (model) {
            const created = BigInt(Date.parse(model.createdAt));
            const row = [model.version, created, model.parent ?? null, JSON.stringify(model)];
            await c.run(
              `INSERT INTO models SELECT ?, ${time}, ?, ?, false, coalesce(max(ordinal) + 1, 1) FROM models`,
              row,
            );
            failpoint('refit:registered');
          }
          await c.run(
            `UPDATE runs SET status = ?, finished_at = ${time}, detail = ?, version = ?, code = ? WHERE id = ?`,
            [
              outcome.status,
              now(),
              outcome.detail,
              outcome.version ?? null,
              outcome.code ?? null,
              BigInt(id),
            ],
          );
        });
        if (model) failpoint('refit:committed');
      }),

    runs: limit =>
      serial.use(async c => {
        const rows = await all(c, `SELECT ${runColumns} FROM runs ORDER BY runs.id DESC LIMIT ${limit}`);
        return rows.map(asRun);
      }),
  };
}

/** What was made and published. */
function openModels(
  serial: SerialConnection,
): Pick<Ledger, 'models' | 'markPublished' | 'publications' | 'recordPublication' | 'forgetModel'> {
  return {
    models: () =>
      serial.use(async c => {
        const rows = await all(
          c,
          'SELECT version, epoch_ms(created_at) AS created, manifest, published FROM models ORDER BY ordinal',
        );
        return rows.map(
          (r): ModelRecord => ({
            version: String(r.version),
            createdAt: Number(r.created),
            manifest: JSON.parse(String(r.manifest)) as Manifest,
            published: r.published === true,
          }),
        );
      }),

    markPublished: version =>
      serial.use(async c => {
        await c.run('UPDATE models SET published = (version = ?)', [version]);
      }),

    publications: () =>
      serial.use(async c => {
        const rows = await all(c, 'SELECT DISTINCT version, content FROM publications');
        return rows.map(r => ({ version: String(r.version), content: String(r.content) }));
      }),

    recordPublication: (version, content) =>
      serial.use(async c => {
        await c.run('INSERT INTO publications VALUES (?, ?)', [version, content]);
      }),

    forgetModel: version =>
      serial.use(async c => {
        await transaction(c, async () => {
          await c.run('INSERT INTO retired VALUES (?)', [version]);
          await c.run('DELETE FROM models WHERE version = ?', [version]);
          // No other model has a version of this name, with a number or without.
          await c.run("DELETE FROM publications WHERE split_part(version, '.', 1) = ?", [version]);
        });
      }),
  };
}

/** When jobs are due. */
function openSchedules(serial: SerialConnection): Pick<Ledger, 'due' | 'setDue'> {
  return {
    due: (job, expression) =>
      serial.use(async c => {
        const due = await scalar(c, 'SELECT epoch_ms(due) FROM schedules WHERE job = ? AND expression = ?', [
          job,
          expression,
        ]);
        return due === undefined ? undefined : Number(due);
      }),

    setDue: (job, expression, due) =>
      serial.use(c =>
        transaction(c, async () => {
          await c.run('DELETE FROM schedules WHERE job = ?', [job]);
          await c.run(`INSERT INTO schedules VALUES (?, ?, ${time})`, [job, expression, BigInt(due)]);
        }),
      ),
  };
}

/** The options of a signal as text; a keyed hash stands for a user who is to be erased. */
async function optionsOf(connection: DuckDBConnection, { type, options }: Signal): Promise<string> {
  const erases = type === 'forget' && typeof options.user === 'string';
  return JSON.stringify(
    erases ? { ...options, user: `#${await userHash(connection, String(options.user))}` } : options,
  );
}

/** What was asked for. */
function openSignals(
  serial: SerialConnection,
): Pick<Ledger, 'claimSignal' | 'finishSignal' | 'unreported' | 'markReported'> {
  return {
    claimSignal: (source, signal) =>
      serial.use(c =>
        transaction(c, async () => {
          const [known] = await all(c, `SELECT ${signalColumns} FROM signals WHERE source = ? AND id = ?`, [
            source,
            signal.id,
          ]);
          if (known) return known.status === 'running' ? undefined : asResult(known);
          await c.run(
            `INSERT INTO signals VALUES (?, ?, ?, ?, ${time}, 'running', NULL, NULL, NULL, false)`,
            [source, signal.id, signal.type, await optionsOf(c, signal), BigInt(signal.requestedAt)],
          );
          return undefined;
        }),
      ),

    finishSignal: (source, r) =>
      serial.use(async c => {
        await c.run(
          `UPDATE signals SET status = ?, version = ?, message = ?, finished_at = ${time} WHERE source = ? AND id = ?`,
          [r.status, r.version ?? null, r.message, BigInt(r.finishedAt), source, r.id],
        );
        failpoint('signal:committed');
      }),

    unreported: source =>
      serial.use(async c => {
        const sql = `SELECT ${signalColumns} FROM signals WHERE source = ? AND status <> 'running' AND NOT reported`;
        return (await all(c, sql, [source])).map(asResult);
      }),

    markReported: (source, id) =>
      serial.use(async c => {
        await c.run('UPDATE signals SET reported = true WHERE source = ? AND id = ?', [source, id]);
      }),
  };
}

/** Runs, models, schedules and signals of an open state. */
export const openLedger = (serial: SerialConnection): Ledger => ({
  ...openRuns(serial),
  ...openModels(serial),
  ...openSchedules(serial),
  ...openSignals(serial),
});
