/** Spans of runs and their steps, when the process has loaded an SDK of OpenTelemetry; none of them tells a secret. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.js';
import { purchasesPipeline } from '../support/purchases.js';
import { startCli, stopCli, until } from '../support/service.js';

interface Span {
  readonly name: string;
  readonly id: string;
  readonly parent?: string;
  readonly trace: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly status: { readonly code: number; readonly message?: string };
}

/** A module that has spans written to `file`, one a line, as a user's own would send them to a collector. */
const sdk = (file: string) => `
import { appendFileSync } from 'node:fs';
import { context, trace } from '${import.meta.resolve('@opentelemetry/api')}';
import { AsyncLocalStorageContextManager } from '${import.meta.resolve('@opentelemetry/context-async-hooks')}';
import { BasicTracerProvider, SimpleSpanProcessor } from '${import.meta.resolve('@opentelemetry/sdk-trace-base')}';
const write = span => appendFileSync(${JSON.stringify(file)}, JSON.stringify({
  name: span.name, id: span.spanContext().spanId, trace: span.spanContext().traceId,
  parent: span.parentSpanContext?.spanId, attributes: span.attributes, status: span.status }) + '\\n');
const exporter = { export: (spans, done) => (spans.forEach(write), done({ code: 0 })), shutdown: async () => {} };
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
`;

it('has a span of each run, with its steps under it, and of each batch', async () => {
  const directory = temporaryDirectory();
  const spans = join(directory, 'spans.ndjson');
  writeFileSync(join(directory, 'sdk.mjs'), sdk(spans));
  const traced = { NODE_OPTIONS: `--import ${join(directory, 'sdk.mjs')}` };
  const config = await purchasesPipeline(directory, {
    sinks: [{ type: 'files', path: 'feeds' }],
    gate: { holdout: 'random' },
    schedule: { fold: { cron: '0 0 1 1 *' }, refit: { cron: '* * * * * *' }, pollMs: 50 },
  });
  const run = startCli(['run', '-c', config], traced);
  await until('a publication', () => run.log().some(l => l.msg === 'model published'), { seconds: 100 });
  expect(await stopCli(run)).toMatchObject({ code: 0 });

  const found = readFileSync(spans, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Span);
  const [refit] = found.filter(s => s.name === 'refit');
  expect(refit).toMatchObject({
    attributes: { run: 1, trigger: expect.stringMatching(/^cron:/) },
    status: { code: 0 },
  });
  const under = (span: Span) => found.filter(s => s.parent === span.id).map(s => s.name);
  expect(under(refit!)).toEqual(['fold', 'dropItems', 'fit']);
  expect(under(found.find(s => s.name === 'fit' && s.parent === refit!.id)!)).toEqual(['measureModel']);
  const publications = found.filter(s => s.name === 'publish');
  expect(publications.map(s => s.parent)).toEqual([publications[1]!.id, undefined]);
  const batches = found.filter(s => s.name === 'ingest');
  expect(batches.reduce((sum, s) => sum + Number(s.attributes.events), 0)).toBe(1080);
});

it('has the code of a failure, and no secret in its message', async () => {
  const directory = temporaryDirectory();
  const spans = join(directory, 'spans.ndjson');
  writeFileSync(join(directory, 'sdk.mjs'), sdk(spans));
  const password = 'a secret of this test';
  const config = await purchasesPipeline(directory, {
    sinks: [{ type: 'redis', url: `redis://user:${encodeURIComponent(password)}@127.0.0.1:1` }],
  });
  const env = { NODE_OPTIONS: `--import ${join(directory, 'sdk.mjs')}` };
  for (const command of ['ingest', 'fold', 'fit', 'publish'])
    await startCli([command, '-c', config], env).ended;
  const text = readFileSync(spans, 'utf8');
  const failed = text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Span)
    .filter(s => s.status.code === 2);
  expect(failed.map(s => s.name)).toEqual(['publish', 'publish']);
  expect(failed[0]!.attributes['error.type']).toBe('SINK_FAILED');
  expect(text).not.toContain(password);
  expect(text).not.toContain(encodeURIComponent(password));
});
