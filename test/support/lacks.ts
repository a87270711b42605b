/** What a benchmark or a trial lacks, said in one sentence instead of a stack trace. */
import { StageError } from '../../src/errors.js';

/** Where the programs come from that are not of this package. */
const sources: Readonly<Record<string, string>> = {
  'redis-server': 'install it (Debian: redis-server), or name a server in REDIS_URL',
  gcc: 'install it (Debian: gcc)',
  python3: 'install it (Debian: python3-venv), or name a Python that has the reference in SANSA_PYTHON',
  openssl: 'install it (Debian: openssl)',
};

/** The failure of a program that could not be started, or of what StageErrors say; `undefined` for any other. */
export function lackOf(error: unknown): string | undefined {
  if (error instanceof StageError) return `${error.code}: ${error.message}`;
  const { code, syscall, path = '' } = error as NodeJS.ErrnoException;
  if (code !== 'ENOENT' || !syscall?.startsWith('spawn')) return undefined;
  return `${path}: expected this program, found none; ${sources[path] ?? 'install it, or put its directory into PATH'}`;
}

/** Runs `body`; what it lacks goes to standard error, and the exit code is 1. Throws every other failure. */
export async function sayingLacks(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    const lack = lackOf(error);
    if (lack === undefined) throw error;
    process.stderr.write(`${lack}\n`);
    process.exitCode = error instanceof StageError ? error.exitCode : 1;
  }
}
