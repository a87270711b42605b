/** The text of a trigger decides what a restarted process does again, so it must stay what older ledgers have. */
import { expect, it } from 'vitest';
import { formatTrigger, parseTrigger, type Trigger } from '#jobs/trigger.js';

const time = Date.parse('2026-03-01T12:00:10Z');
const texts: readonly (readonly [string, Trigger])[] = [
  ['cli', { kind: 'cli' }],
  ['cron:2026-03-01T12:00:10.000Z', { kind: 'cron', time }],
  ['events:150', { kind: 'events', at: 150 }],
  ['query:1772366410000', { kind: 'query', at: 1772366410000 }],
  ['signal:duckdb:signals:b:1', { kind: 'signal', signal: 'duckdb:signals:b:1' }],
  ['refit:20260301-120010-1f', { kind: 'refit', version: '20260301-120010-1f' }],
  ['follow:cron:2026-03-01T12:00:10.000Z:150', { kind: 'follow', fold: { kind: 'cron', time }, folded: 150 }],
  [
    'follow:events:1772366410000:7',
    { kind: 'follow', fold: { kind: 'events', at: 1772366410000 }, folded: 7 },
  ],
];

it.each(texts)('%s', (text, trigger) => {
  expect(formatTrigger(trigger)).toBe(text);
  expect(parseTrigger(text)).toEqual(trigger);
});

it.each([
  'nightly',
  'cron:tonight',
  'cron:2026-03-01',
  'events:',
  'events:1e3',
  'follow:7',
  'demo:2011-01',
  '',
])('takes %j for a name', text => {
  expect(parseTrigger(text)).toEqual({ kind: 'named', name: text });
  expect(formatTrigger(parseTrigger(text))).toBe(text);
});
