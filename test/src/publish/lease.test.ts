/** Publishers in processes of their own: copies of one state keep each other out, and a dead one keeps nobody out. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { holderName, mayFollow, newHolder } from '#src/publish/lease.js';
import { publicationOf, ranked } from '#src/testing/index.js';
import { startPublisher } from '../../support/publisher-process.js';

it('tells holders apart by owner, process and attempt', () => {
  const mine = newHolder('state');
  expect(newHolder('state')).not.toBe(mine);
  expect(mayFollow(mine, newHolder('state'))).toBe(true);
  expect(mayFollow(mine, newHolder('other'))).toBe(false);
  const elsewhere = JSON.stringify({ ...(JSON.parse(mine) as object), host: 'another host' });
  expect(mayFollow(elsewhere, mine)).toBe(false);
  const init = JSON.stringify({ ...(JSON.parse(mine) as object), pid: 1 });
  expect(mayFollow(init, mine)).toBe(false);
  // As earlier releases stored it.
  expect(mayFollow('state', mine)).toBe(true);
  expect(mayFollow('other', mine)).toBe(false);
  expect(holderName('somebody')).toBe('somebody');
  expect(holderName(mine)).toContain(`process ${process.pid}`);
});

it('keeps a copy of a state out, and lets the next process of one that died go on at once', async () => {
  const path = mkdtempSync(join(tmpdir(), 'lease-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  const lmdb = { module: '#connectors/lmdb/sink.js', options: { type: 'lmdb', path } };
  const first = await startPublisher(lmdb, 'state');
  const copy = await startPublisher(lmdb, 'state');
  onTestFinished(() => {
    first.kill('SIGKILL');
    copy.kill('SIGKILL');
  });
  const lists = [ranked('x', ['a'])];
  expect(await first.call('begin', publicationOf('v1'))).toEqual({});
  expect((await copy.call('begin', publicationOf('v1'))).error).toContain(`process ${first.pid}`);
  expect(await first.call('write', 'users', lists)).toEqual({});
  first.kill('SIGKILL');
  await first.ended;
  expect(await copy.call('begin', publicationOf('v1'))).toEqual({});
  for (const [method, ...args] of [['write', 'users', lists], ['finish'], ['point', 'v1']] as const)
    expect(await copy.call(method, ...args)).toEqual({});
});
