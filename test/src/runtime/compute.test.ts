/** A compute thread calls functions of modules by name, one at a time. */
import { expect, it } from 'vitest';
import { startCompute } from '#src/runtime/compute.js';
import { type Progress, tasksOf } from '#src/runtime/task.js';

const source = `
export const join = async (a, b, report) => (report('joining', 0.5), a + b);
export const refuse = what => { throw new Error(what + ' is refused'); };`;

const tasks = tasksOf<{
  join(a: string, b?: string, report?: Progress): Promise<string>;
  refuse(what: string): number;
}>(new URL(`data:text/javascript,${encodeURIComponent(source)}`));

it('a task asked of a thread that was stopped fails instead of waiting for ever', async () => {
  const compute = startCompute();
  await compute.close();
  await expect(compute.run(tasks('join'), ['a', 'b'])).rejects.toMatchObject({ code: 'INTERRUPTED' });
});

it('tasks run one after the other, report progress, and fail alone', async () => {
  const compute = startCompute();
  const heard: unknown[] = [];
  const failing = compute.run(tasks('refuse'), ['x']);
  const joined = compute.run(tasks('join'), ['a', 'b'], (stage, part) => heard.push([stage, part]));
  await expect(failing).rejects.toMatchObject({ code: 'INTERNAL', message: 'x is refused' });
  expect(await joined).toBe('ab');
  expect(heard).toEqual([['joining', 0.5]]);
  // @ts-expect-error: all arguments are given, optional ones too, so that the report is the last one
  await expect(compute.run(tasks('join'), ['a'])).rejects.toMatchObject({ code: 'INTERNAL' });
  await compute.close();
});
