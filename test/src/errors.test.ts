import { expect, it } from 'vitest';
import { StageError, toStageError } from '#src/errors.js';

it.each([
  new Error('IO Error: Could not write file "/x/state.duckdb.wal": No space left on device'),
  new Error(
    'TransactionContext Error: Failed to commit: Could not fsync file "/x/state.duckdb": Input/output error',
  ),
  new Error('FATAL Error: Failed: database has been invalidated because of a previous fatal error.\nmore'),
  Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
  Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' }),
])('names a disk that fails: %s', error => {
  const found = toStageError(error);
  expect(found).toMatchObject({ code: 'STATE_UNWRITABLE', retryable: false, exitCode: 1 });
  expect(found.message).toBe(`the state could not be written: ${error.message.split('\n')[0]}`);
  expect(found.remedy).toMatch(/free space/);
  expect(toStageError(error, 'SINK_FAILED', 'a sink').code).toBe('SINK_FAILED');
});

it('does not take other failures for one of the disk', () => {
  expect(toStageError(new Error('Binder Error: no such column')).code).toBe('INTERNAL');
  expect(toStageError('text').code).toBe('INTERNAL');
});

it('names what the system does not permit', () => {
  const error = Object.assign(new Error("EACCES: permission denied, mkdir '/x'"), { code: 'EACCES' });
  for (const found of [error, new Error('opening failed', { cause: error })]) {
    expect(toStageError(found)).toMatchObject({ code: 'ACCESS_REFUSED', retryable: false });
    expect(toStageError(found, 'SOURCE_UNREADABLE').code).toBe('SOURCE_UNREADABLE');
  }
});

it('knows the errors of another copy of the package', () => {
  const foreign = Object.assign(new Error('full'), { name: 'StageError', code: 'SINK_FAILED' });
  expect(foreign).toBeInstanceOf(StageError);
  expect(toStageError(foreign)).toBe(foreign);
  expect(Object.assign(new Error('x'), { code: 'SINK_FAILED' })).not.toBeInstanceOf(StageError);
});
