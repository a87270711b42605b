import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { batchCollector } from '#src/publish/batch-collector.js';

it('collects when batches have left much behind, and not before', async () => {
  const collect = batchCollector();
  collect();
  const rest = await (async () => new WeakRef({ lists: [1] }))();
  await setImmediate();
  collect();
  expect(rest.deref()).toBeDefined();
  await setImmediate();
  let left: Uint8Array[] = Array.from({ length: 16 }, () => new Uint8Array(2 ** 20));
  expect(left.length).toBe(16);
  left = [];
  collect();
  expect(rest.deref()).toBeUndefined();
});
