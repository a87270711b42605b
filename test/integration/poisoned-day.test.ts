/** A day of random events: the gate holds its model back, the champion stays, and forgetting the day's users mends it. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, loadConfig, type PipelineOptions } from '#jobs/index.js';
import { contextOf, runChain } from '#jobs/job.js';
import { forget } from '#jobs/kinds/forget.js';
import { refit } from '#jobs/kinds/refit.js';
import { cli } from '#jobs/trigger.js';
import { silent } from '#src/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';
import { purchasesPipeline } from '../support/purchases.js';

const bots = 27;
/** An event an hour is usual: these are ten times as many within the day that follows, of any items. */
const poison = `INSERT INTO events SELECT 2000 + k, 'bot-' || k % ${bots}, item, make_timestamp(1771200000000000 + k * 300000000)
  FROM (SELECT row_number() OVER (ORDER BY hash(b, item)) AS k, item
    FROM (SELECT DISTINCT item FROM events) e, range(9) r(b) ORDER BY k LIMIT ${9 * bots})`;

/** A stage with this gate that has seen the good days; its log, and what becomes of a refit. */
async function stage(gate: NonNullable<PipelineOptions['gate']>) {
  const directory = temporaryDirectory();
  const path = await purchasesPipeline(directory, { sinks: [{ type: 'files', path: 'feeds' }], gate });
  const { config, baseDirectory } = loadConfig(path);
  const lines: (object & { msg: string; level: string })[] = [];
  const record = (level: string) => (facts: object, msg: string) => void lines.push({ ...facts, msg, level });
  const log = { ...silent, info: record('info'), warn: record('warn') };
  const pipeline = await createPipeline(config, { baseDirectory, log });
  const refitted = async () => {
    await pipeline.ingest();
    const { outcome, followed } = await runChain(contextOf(pipeline, {}), refit, cli, {});
    const { version } = outcome as { version: string };
    return { version, published: followed[0]!.outcome, manifest: await pipeline.manifestOf(version) };
  };
  return { directory, pipeline, lines, refitted };
}

it('is stopped by the gate, and forgotten', async () => {
  const { directory, pipeline, lines, refitted } = await stage({ holdout: 'random', share: 0.3 });
  try {
    const good = await refitted();
    expect(good.published.kind).toBe('done');
    expect(lines.find(l => l.msg === 'model fitted')).toMatchObject({
      'ndcg@20': good.manifest.metrics!.quality!.ndcg,
      measuredUsers: expect.any(Number),
    });

    await runSql(join(directory, 'w.duckdb'), poison);
    const bad = await refitted();
    expect(bad.published).toMatchObject({
      kind: 'held',
      reason: expect.stringMatching(/ndcg@20 0\.\d+ < 0\.95 ×/),
    });
    expect(lines.find(l => l.level === 'warn')!.msg).toMatch(/not published/);
    const champion = async () => (await pipeline.parts.store.models()).find(m => m.published)!.version;
    expect(await champion()).toBe(good.version);

    for (let b = 0; b < bots; b++) await runChain(contextOf(pipeline, {}), forget, cli, { user: `bot-${b}` });
    const mended = await refitted();
    expect(mended.published.kind).toBe('done');
    expect(mended.manifest.metrics).toEqual(good.manifest.metrics);
    expect(await champion()).toBe(mended.version);
  } finally {
    await pipeline.close();
  }
}, 300_000);

it('passes a gate that asks nobody of that day, which says so', async () => {
  const { directory, pipeline, lines, refitted } = await stage({ holdout: 'time' });
  try {
    const good = await refitted();
    expect(good.manifest.metrics!.unjudged).toBeLessThan(0.5);
    await runSql(join(directory, 'w.duckdb'), poison);
    const bad = await refitted();
    expect(bad.manifest.metrics!.unjudged).toBeGreaterThan(0.5);
    const reason = /; [5-9]\d% of the held-out interactions are of new users and were not judged$/;
    const told = lines.map(l => ('gate' in l ? String(l.gate) : l.msg)).filter(text => reason.test(text));
    expect(told).toHaveLength(1);
    expect(lines.filter(l => l.msg === 'model fitted').at(-1)).toMatchObject({
      unjudged: bad.manifest.metrics!.unjudged,
    });
  } finally {
    await pipeline.close();
  }
}, 300_000);
