/** What the models topic says, record by record, in the order of the log. */
import type { KafkaMessage } from 'kafkajs';
import { expect, it } from 'vitest';
import { isWhole, leaseKey, ModelsState, type VersionRecord } from '#connectors/kafka/models-topic.js';
import { manifestOf } from '../../support/manifest.js';

const message = (key: string, value: object | null, kind = 'version'): KafkaMessage => ({
  key: Buffer.from(key),
  value: value && Buffer.from(JSON.stringify(value)),
  headers: { kind },
  timestamp: '0',
  attributes: 0,
  offset: '0',
});
const offsets = { weights: [0], users: [0], items: [0] };
const version = (name: string, publication: number): VersionRecord => ({
  ...manifestOf(name),
  complete: true,
  publication,
  publishedAt: '2026-01-01T00:00:00Z',
  lists: { users: 1, items: 1 },
  starts: offsets,
  ends: offsets,
  retainMs: 1000,
  parts: [],
});

it('takes the last record of each key, and forgets what has none', () => {
  const state = new ModelsState();
  const v1 = version('v1', 1);
  for (const m of [
    message('v1', v1),
    message('champion', v1, 'alias'),
    message(leaseKey, { owner: 'a', session: 's', until: 5, publication: 7 }),
    message('signal/x', { id: 'x' }, 'result'),
    message('v2', version('v2', 2)),
  ])
    state.apply(m);
  expect(state.of('champion')?.version).toBe('v1');
  expect(state.newest?.version).toBe('v2');
  // A publication that was begun and never completed has used its number.
  expect(state.next).toBe(8);
  expect([...state.versions.keys()]).toEqual(['v1', 'v2']);
  state.apply(message('v1', { ...v1, publication: 9 }));
  expect(state.of('champion')?.publication).toBe(9);
  state.apply(message('v1', null));
  expect(state.of('champion')).toBeUndefined();
});

it('takes a version for whole until others have overwritten it for as long as the log keeps it', () => {
  const record = version('v1', 1);
  expect(isWhole(record, 1e15)).toBe(true);
  expect(isWhole({ ...record, overwrittenAt: 5000 }, 5999)).toBe(true);
  expect(isWhole({ ...record, overwrittenAt: 5000 }, 6000)).toBe(false);
});

it('passes over records that are not of ours, and warns of each once', async () => {
  const warnings: string[] = [];
  const hear = (warning: Error) => void warnings.push(warning.message);
  process.on('warning', hear);
  const text = (key: string, value: string, kind = 'version') => ({
    ...message(key, {}, kind),
    value: Buffer.from(value),
  });
  for (let twice = 0; twice < 2; twice++) {
    const state = new ModelsState();
    state.apply(message('v1', version('v1', 1)));
    state.apply(message('champion', version('v1', 1), 'alias'));
    for (const garbage of ['no json', '{', '1', '[]', 'null', '{"version":"v9"}', '{"publication":1}'])
      state.apply(text('stray', garbage));
    state.apply(text('champion', '{', 'alias'));
    state.apply(text(leaseKey, 'zz'));
    expect([...state.versions.keys()]).toEqual(['v1']);
    expect(state.of('champion')?.version).toBe('v1');
    expect(state.lease).toBeUndefined();
    state.apply(message('stray', null));
    expect(state.next).toBe(2);
  }
  await new Promise(resolve => setImmediate(resolve));
  process.off('warning', hear);
  expect(warnings.filter(w => w.includes('"stray"'))).toHaveLength(1);
});
