// The crash tests kill the process at a named point: `SANSA_STREAM_CRASH_AT=name`, or `name#3` for the third pass.
const [target, nth = '1'] = (process.env.SANSA_STREAM_CRASH_AT ?? '').split('#');
let passed = 0;

/** All failpoints, in the order in which a stage passes them. */
export const failpoints = [
  'ingest:read',
  'ingest:appended',
  'ingest:committed',
  'ingest:acknowledged',
  'history:read',
  'history:ended',
  'fold:encoded',
  'fold:applied',
  'fold:segment-written',
  'fold:registered',
  'fold:committed',
  'compact:segment-written',
  'compact:committed',
  'merge:built',
  'leave:built',
  'leave:registered',
  'leave:committed',
  'refit:model-written',
  'refit:registered',
  'refit:committed',
  'publish:written',
  'publish:pointed',
  'forget:begun',
  'forget:built',
  'forget:erased',
  'forget:files-removed',
  'forget:noted',
  'forget:placed',
  'forget:sinks-done',
  'forget:copied',
  'forget:rewritten',
  'signal:committed',
] as const;

/** Dies by SIGKILL here if the environment names this point. */
export function failpoint(name: (typeof failpoints)[number]): void {
  if (name === target && ++passed === Number(nth)) process.kill(process.pid, 'SIGKILL');
}
