import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { StageError } from '../../../src/errors.js';

/** Where a process dies: at the `at`-th operation; `torn`, after half of the first write from there on. */
export interface Strike {
  readonly how: 'before' | 'after' | 'torn';
  readonly at: number;
}

/** Compiles the library that is preloaded into the processes; throws `USAGE` where that cannot be done. */
export function compileShim(directory: string): string {
  const library = join(directory, 'shim.so');
  const manifest = createRequire(import.meta.url).resolve('sansa-stream/package.json');
  const source = join(dirname(manifest), 'test/chaos/crash/shim.c');
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl'], { stdio: 'pipe' });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    const why = code === 'ENOENT' ? 'there is no `cc`' : String(stderr).split('\n', 1)[0];
    throw new StageError('USAGE', `crash compiles shim.c, so it needs Linux and a C compiler: ${why}`);
  }
  return library;
}

/** Environment of a process whose operations below `directory` are counted in `report`, and which dies by `strike`. */
export function shimEnvironment(
  library: string,
  { directory, report, strike }: { directory: string; report: string; strike?: Strike | undefined },
): NodeJS.ProcessEnv {
  writeFileSync(report, Buffer.alloc(512));
  return {
    LD_PRELOAD: library,
    CRASH_PREFIX: `${directory}/`,
    CRASH_REPORT: report,
    CRASH_SOCKETS: '1',
    UV_USE_IO_URING: '0',
    ...(strike ? { CRASH_AT: String(strike.at), CRASH_HOW: strike.how } : {}),
  };
}

/** How many operations there were, and the one at which the process died. */
export function readReport(path: string): { readonly operations: number; readonly died: string } {
  const bytes = readFileSync(path);
  const text = bytes.toString('utf8', 8);
  return { operations: Number(bytes.readBigInt64LE(0)), died: text.slice(0, text.indexOf('\0')) };
}
