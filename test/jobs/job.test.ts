/** A job is done once for its trigger, and a caller that comes again hears how it ended, also from an older ledger. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { createPipeline, type Pipeline, refitStep } from '#jobs/index.js';
import { contextOf, type Job, runChain, runJob } from '#jobs/job.js';
import { publish } from '#jobs/kinds/publish.js';
import { refit } from '#jobs/kinds/refit.js';
import { type Observer, observers } from '#jobs/observe.js';
import { cli, type Trigger } from '#jobs/trigger.js';
import { StageError } from '#src/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
});

async function withPipeline<T>(body: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await createPipeline({ state: 'state' }, { baseDirectory: directory });
  try {
    return await body(pipeline);
  } finally {
    await pipeline.close();
  }
}

const monday: Trigger = { kind: 'cron', time: Date.parse('2026-03-02T03:00:00Z') };

/** A job that does what `ends` say, one after the other, and counts its runs. */
function scripted(ends: readonly (string | StageError)[]) {
  const counter = { runs: 0 };
  const job: Job = {
    name: 'scripted',
    said: { done: 'scripted' },
    async run() {
      const end = ends[counter.runs++]!;
      if (end instanceof StageError) throw end;
      return { kind: 'done', detail: end };
    },
  };
  return { job, counter };
}

it('stops a run that takes longer than its time, and says so', async () => {
  await withPipeline(async pipeline => {
    const config = { ...pipeline.config, schedule: { ...pipeline.config.schedule, slow: { timeoutMs: 50 } } };
    const slow: Job = {
      name: 'slow',
      said: { done: 'slow' },
      async run({ settings: { signal } }) {
        while (!signal!.aborted) await sleep(5);
        throw signal!.reason;
      },
    };
    const found = { code: 'JOB_TIMEOUT', message: 'slow took longer than 50 ms and was stopped' };
    await expect(runJob(contextOf({ ...pipeline, config }, {}), slow, cli, {})).rejects.toMatchObject(found);
    const stop = AbortSignal.timeout(10);
    const stopped = runJob(contextOf({ ...pipeline, config }, { signal: stop }), slow, cli, {});
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
    const runs = await pipeline.parts.store.runs(2);
    expect(runs.map(({ status }) => status)).toEqual(['interrupted', 'failed']);
  });
});

it('throws an earlier failure again with its code and remedy', async () => {
  const failure = { code: 'STATE_EMPTY', remedy: new StageError('STATE_EMPTY', '').remedy };
  await withPipeline(p => expect(refitStep(p, { trigger: 'nightly' })).rejects.toMatchObject(failure));
  await withPipeline(async p => {
    await expect(refitStep(p, { trigger: 'nightly' })).rejects.toMatchObject(failure);
    expect(await p.parts.store.runs(10)).toHaveLength(1);
  });
});

it('reads a ledger that has failures without their code', async () => {
  await withPipeline(p =>
    expect(refitStep(p, { trigger: 'nightly' })).rejects.toThrow(/^expected interactions/),
  );
  await runSql(join(directory, 'state', 'state.duckdb'), 'UPDATE runs SET code = NULL');
  await withPipeline(p =>
    expect(refitStep(p, { trigger: 'nightly' })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(/^expected interactions/),
    }),
  );
});

it('is done once for a trigger, each time for the command line, and again after a stop', async () => {
  await withPipeline(async p => {
    const stopped = new StageError('INTERRUPTED', 'stopped');
    const { job, counter } = scripted([stopped, 'one', 'two', 'three']);
    const context = contextOf(p, {});
    await expect(runJob(context, job, monday, {})).rejects.toBe(stopped);
    expect(await runJob(context, job, monday, {})).toMatchObject({ kind: 'done', detail: 'one' });
    expect(await runJob(context, job, monday, {})).toMatchObject({ kind: 'done', detail: 'one' });
    expect(await runJob(context, job, cli, {})).toMatchObject({ detail: 'two' });
    expect(await runJob(context, job, cli, {})).toMatchObject({ detail: 'three' });
    expect(counter.runs).toBe(4);
  });
});

it('tells observers of each run, however it ended, and of none that was made earlier', async () => {
  await withPipeline(async p => {
    const heard: unknown[] = [];
    const observer: Observer = {
      begin: ({ name }) => heard.push(`begin ${name}`),
      run: (_, trigger, end, seconds) => heard.push([trigger, end.kind, seconds >= 0]),
    };
    const context = contextOf(p, {}, { observer: observers([observer, {}]) });
    const { job } = scripted(['done', new StageError('SINK_FAILED', 'no room')]);
    await runJob(context, job, monday, {});
    await runJob(context, job, monday, {});
    await expect(runJob(context, job, cli, {})).rejects.toThrow('no room');
    expect(heard).toEqual([
      'begin scripted',
      [monday, 'done', true],
      'begin scripted',
      [cli, 'failed', true],
    ]);
  });
});

it('reads what an older process kept of a publication that the gate stopped', async () => {
  await withPipeline(async p => {
    const { store } = p.parts;
    const { id } = await store.startRun('publish', 'refit:v1');
    await store.endRun(id, { status: 'done', detail: 'held back: model v1: ndcg@20 is less' });
    const trigger: Trigger = { kind: 'refit', version: 'v1' };
    const chain = await runChain(contextOf(p, {}), publish, trigger, { version: 'v1', gated: true });
    expect(chain.outcome).toEqual({ kind: 'held', reason: 'model v1: ndcg@20 is less' });
    const answer = refit.answer!({
      job: refit as Job,
      outcome: { kind: 'done', detail: '' },
      followed: [chain],
    });
    expect(answer).toBe('fitted, not published: model v1: ndcg@20 is less');
  });
});
