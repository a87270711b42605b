/** The search for options as a job of `run`: by the clock, stopped in the middle, made up for, used by refits. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { purchasesPipeline } from '../support/purchases.js';
import { startCli, stopCli, until } from '../support/service.js';

it('runs once for a time that is due, also across a stop, and refits use what it found', async () => {
  const directory = temporaryDirectory();
  const config = await purchasesPipeline(directory, {
    fit: { density: 0.016, l2: 150 },
    schedule: {
      pollMs: 100,
      fold: { cron: '* * * * * *' },
      tune: { cron: '*/5 * * * * *', trials: 8, holdout: 'random', k: 10 },
    },
  });
  const models = join(directory, 'state', 'models');
  const searching = () => existsSync(models) && readdirSync(models).some(name => name.startsWith('.tune-'));
  const first = startCli(['run', '-c', config]);
  await until('a search is under way', searching);
  const { code, seconds } = await stopCli(first);
  expect(code, first.errors()).toBe(0);
  expect(seconds).toBeLessThan(5);

  const next = startCli(['run', '-c', config]);
  const tuned = await next.logged('options tuned');
  expect(tuned).toMatchObject({ adopted: true, trigger: expect.stringMatching(/^cron:/) });
  expect(await stopCli(next)).toMatchObject({ code: 0 });

  const options = JSON.parse(readFileSync(config, 'utf8')) as PipelineOptions;
  const pipeline = await createPipeline(options, { baseDirectory: directory });
  try {
    const { store } = pipeline.parts;
    const runs = (await store.runs(1000)).filter(r => r.job === 'tune').reverse();
    const cut = runs.find(r => r.status === 'interrupted')!;
    const made = runs.find(r => r.status === 'done')!;
    expect(made).toMatchObject({ trigger: tuned.trigger, detail: expect.stringMatching(/: adopted$/) });
    expect(made.startedAt).toBeGreaterThan(cut.finishedAt!);
    const version = await refitStep(pipeline, { trigger: 'test' });
    expect((await pipeline.manifestOf(version)).options).toEqual(tuned.fit);
    expect(readdirSync(models)).toEqual([version]);
  } finally {
    await pipeline.close();
  }
});
