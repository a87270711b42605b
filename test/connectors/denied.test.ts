/** Sinks on a disk that the process may not write to: each says that access was refused, which no retry mends. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createDuckdbSink, duckdbSinkOptions } from '#connectors/duckdb/sink.js';
import { createFilesSink, filesOptions } from '#connectors/files/sink.js';
import { createLmdbSink, lmdbOptions } from '#connectors/lmdb/sink.js';
import type { Sink } from '#src/contracts/index.js';
import { manifestOf } from '../support/manifest.js';

const isRoot = process.geteuid!() === 0;
let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'sansa-stream-test-'));
  mkdirSync(join(home, 'kept'));
  for (const name of ['feeds.lmdb', 'feeds.duckdb'])
    writeFileSync(join(home, 'kept', name), '', { mode: 0o600 });
  chmodSync(home, 0o755);
  chmodSync(join(home, 'kept'), 0o555);
  // The owner of all may write everywhere.
  if (isRoot) process.seteuid!(65_534);
});
afterEach(() => {
  if (isRoot) process.seteuid!(0);
  chmodSync(join(home, 'kept'), 0o755);
  rmSync(home, { recursive: true });
});

const at = (name: string): string => join(home, 'kept', name);
const lmdb = (name: string): Sink => createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path: at(name) }));
const duckdb = (name: string): Sink =>
  createDuckdbSink(duckdbSinkOptions.parse({ type: 'duckdb', database: at(name) }));

it.each([
  ['files', () => createFilesSink(filesOptions.parse({ type: 'files', path: at('feeds') }))],
  ['lmdb, a file', () => lmdb('feeds.lmdb')],
  ['lmdb, no file', () => lmdb('new.lmdb')],
  ['lmdb, a directory', () => lmdb('new')],
  ['duckdb, a file', () => duckdb('feeds.duckdb')],
  ['duckdb, no file', () => duckdb('new.duckdb')],
] as const)('%s', async (_, open) => {
  const sink = open();
  const begun = sink.connect('owner').then(() => sink.begin(manifestOf('v1')));
  await expect(begun).rejects.toMatchObject({
    code: 'ACCESS_REFUSED',
    retryable: false,
    message: expect.stringContaining(home),
    remedy: expect.stringMatching(/the right to read and write/),
  });
  await sink.close();
});
