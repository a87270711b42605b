/** Modules that fail are named, and end in time. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { createFrom } from '#connectors/module/load.js';
import { temporaryDirectory } from '../../support/directory.js';

afterEach(() => void vi.useRealTimers());

/** Makes the source of a module whose `create` has the body `body`. */
function made(body: string, before = '') {
  const directory = temporaryDirectory();
  writeFileSync(
    join(directory, 'own.mjs'),
    `${before}
    export default { kind: 'source', options: { safeParse: data => ({ success: true, data }) },
      create: (_, { name }) => { ${body} } };`,
  );
  return createFrom('source', { type: 'module', module: './own.mjs', name: 'own' }, directory);
}

it('names a module whose `create` fails', async () => {
  await expect(made(`throw new Error('no such host')`)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'module ./own.mjs: expected a source, found that `create` failed: no such host',
  });
});

it('does not wait for ever for a module that is never loaded', async () => {
  vi.useFakeTimers();
  const source = made('return { name }', 'await new Promise(() => {});').catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await source).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('./own.mjs, found one that was not loaded within 30 s'),
  });
});

it('does not wait for ever for a `close`', async () => {
  const source = await made('return { name, close: () => new Promise(() => {}) }');
  vi.useFakeTimers();
  const closed = source.close().catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await closed).toMatchObject({
    code: 'INTERRUPTED',
    message: 'module ./own.mjs: expected `close` to end within 10 s',
  });
});
