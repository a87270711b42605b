import { expect, it } from 'vitest';
import { createJobQueue } from '#jobs/queue.js';
import { StageError, silent } from '#src/index.js';

/** A job that ends when told to, and a record of what runs. */
function jobs() {
  const events: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const job = (name: string) => () =>
    new Promise<void>((resolve, reject) => {
      events.push(`begin ${name}`);
      ends.set(name, error => {
        events.push(`end ${name}`);
        if (error) reject(error);
        else resolve();
      });
    });
  const end = async (name: string, error?: Error) => {
    ends.get(name)!(error);
    await new Promise(setImmediate);
  };
  return { events, job, end };
}

it('runs one job at a time, also behind one that was asked for twice', async () => {
  const { events, job, end } = jobs();
  const queue = createJobQueue(new AbortController().signal, silent);
  queue.add('a', job('a'));
  await new Promise(setImmediate);
  const fold = queue.add('fold', job('fold'));
  queue.add('refit', job('refit'));
  expect(queue.add('fold', job('fold again'))).toBe(fold);
  queue.add('last', job('last'));
  for (const name of ['a', 'fold', 'refit', 'last']) await end(name);
  await queue.drained();
  expect(events).toEqual(['a', 'fold', 'refit', 'last'].flatMap(n => [`begin ${n}`, `end ${n}`]));
});

it('queues a job behind its own run, which may have missed what asks for it', async () => {
  const { events, job, end } = jobs();
  const queue = createJobQueue(new AbortController().signal, silent);
  queue.add('fold', job('first'));
  await new Promise(setImmediate);
  queue.add('fold', job('second'));
  await end('first');
  await end('second');
  expect(events).toEqual(['begin first', 'end first', 'begin second', 'end second']);
});

it('tells an end, good or bad, from a stop', async () => {
  const { job, end } = jobs();
  const stop = new AbortController();
  const queue = createJobQueue(stop.signal, silent);
  const [bad, cut, never] = ['bad', 'cut', 'never'].map(n => queue.add(n, job(n)));
  await new Promise(setImmediate);
  await end('bad', new Error('no'));
  stop.abort();
  await end('cut', new StageError('INTERRUPTED', 'stopped'));
  expect([await bad, await cut, await never]).toEqual([true, false, false]);
});

it('gives whoever asks for a turn the result, the failure, or that the queue has stopped', async () => {
  const stop = new AbortController();
  const queue = createJobQueue(stop.signal, silent);
  const order: string[] = [];
  const first = queue.add('a', async () => {
    await Promise.resolve();
    order.push('a');
  });
  const turn = queue.turn('b', async () => order.push('b'));
  const failing = queue.turn('c', async () => {
    throw new Error('broken');
  });
  await expect(failing).rejects.toThrow('broken');
  expect([await first, await turn, order]).toEqual([true, 2, ['a', 'b']]);
  const last = queue.turn('d', async () => order.push('d'));
  stop.abort();
  await expect(last).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(order).toEqual(['a', 'b']);
});
