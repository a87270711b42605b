/** A line of the log has its own fields, and those of the part that logs it. */
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { logContext, onBehalfOf } from '#jobs/log-context.js';

it('leaves the fields of a line out of the next one', () => {
  const lines: unknown[] = [];
  const to = new Writable({
    write(line: Buffer, _, done) {
      lines.push(JSON.parse(line.toString()));
      done();
    },
  });
  const log = pino({ base: null, timestamp: false, mixin: logContext }, to);
  onBehalfOf({ component: 'publish', run: 3 }, () => {
    log.info({ version: 'v1' }, 'publication began');
    log.info('model published');
  });
  log.info('stopped');
  expect(lines).toEqual([
    { level: 30, component: 'publish', run: 3, version: 'v1', msg: 'publication began' },
    { level: 30, component: 'publish', run: 3, msg: 'model published' },
    { level: 30, msg: 'stopped' },
  ]);
});
