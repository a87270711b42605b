import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Environment } from './environment.js';

const run = promisify(execFile);
const reader = fileURLToPath(new URL('./count-reader.js', import.meta.url));

/** Keys that are counted in a turn of the event loop. */
const keysCounted = 512;

/** Keys from `start` to those before `end`. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

/**
 * Counts keys. That touches every page of them, and pages that were touched count as memory, so a file of more than
 * `mappedBytes` is counted by a process of its own. The lease must not run out meanwhile: the event loop goes on.
 */
export async function countKeys(
  environment: Environment,
  mappedBytes: number,
  ranges: readonly KeyRange[],
): Promise<number> {
  if (statSync(environment.file).size > mappedBytes) {
    const places = ranges.flatMap(({ start, end }) => [start.toString('hex'), end.toString('hex')]);
    const { stdout } = await run(process.execPath, [reader, environment.path, ...places]);
    return Number(stdout);
  }
  let count = 0;
  for (const range of ranges) count += await countHere(environment, range);
  return count;
}

async function countHere({ db }: Environment, { start: first, end }: KeyRange): Promise<number> {
  let count = 0;
  for (let start = first; ; await setImmediate()) {
    const keys = [...db.getKeys({ start, end, limit: keysCounted })];
    count += keys.length;
    if (keys.length < keysCounted) return count;
    start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
  }
}
