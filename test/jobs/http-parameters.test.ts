/** Parameters of HTTP: wrong ones are refused at once, and begin nothing. */
import { expect, it } from 'vitest';
import { Health } from '#jobs/health.js';
import { createApp } from '#jobs/http/app.js';
import { createMetrics } from '#jobs/http/metrics.js';
import { contextOf } from '#jobs/job.js';
import { temporaryDirectory } from '../support/directory.js';
import { withPipeline } from '../support/with-pipeline.js';

const token = 'a token of this test';

it.each<readonly [string, object, number, RegExp]>([
  ['publish', { versoin: 'x' }, 400, /expected only version, alias, found "versoin"/],
  ['publish', { version: 'none' }, 404, /none/],
  ['publish', { alias: 'Not An Alias' }, 400, /alias: expected .*, found "Not An Alias"/],
  ['rollback', { alias: 7 }, 400, /alias: expected text, found 7/],
  ['refit', { densitty: 0.1 }, 400, /expected only .*density.*, found "densitty"/],
  ['refit', { density: 'high' }, 400, /density: expected .*, found "high"/],
  ['forget', {}, 400, /user: expected text, found nothing/],
  ['tune', { options: { trials: 'many' } }, 400, /trials: expected .*, found "many"/],
  ['tune', { fixed: { l2: -1 } }, 400, /l2: expected .*, found -1/],
  ['dead-letters/retry', { since: 'yesterday' }, 400, /since: expected .*, found "yesterday"/],
  ['fold', { now: true }, 400, /found "now"/],
  ['segments?k=many', {}, 400, /k: expected a number, found "many"/],
])('%s %j', async (path, body, status, said) => {
  await withPipeline(temporaryDirectory(), { sinks: [{ type: 'files', path: 'feeds' }] }, async pipeline => {
    const turns: string[] = [];
    const inTurn = <T>(name: string, run: () => Promise<T>): Promise<T> => {
      turns.push(name);
      return run();
    };
    const host = { pipeline, jobs: contextOf(pipeline, {}), inTurn };
    const app = createApp(() => ({ host, health: new Health(pipeline, () => undefined) }), createMetrics(), {
      token,
      local: false,
    });
    const response = await app.request(`/api/v1/${path}`, {
      ...(path.includes('?') ? {} : { method: 'POST', body: JSON.stringify(body) }),
      headers: { authorization: `Bearer ${token}` },
    });
    const { error } = (await response.json()) as { error: { message: string; remedy: string } };
    expect([response.status, error.message]).toEqual([status, expect.stringMatching(said)]);
    expect(error.remedy).not.toMatch(/sansa-stream|--/);
    expect(turns).toEqual([]);
  });
});
