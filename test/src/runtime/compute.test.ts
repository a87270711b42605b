import { expect, it } from 'vitest';
import { startCompute } from '#src/runtime/compute.js';

it('a task asked of a thread that was stopped fails instead of waiting for ever', async () => {
  const compute = startCompute();
  await compute.close();
  const rows = {
    n: 1,
    users: Int32Array.of(),
    indptr: Int32Array.of(0),
    indices: Int32Array.of(),
    values: undefined,
  };
  await expect(compute.run('lists', { rows, kind: 'users' })).rejects.toMatchObject({
    code: 'INTERRUPTED',
  });
});
