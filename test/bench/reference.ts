import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { StageError } from '../../src/errors.js';
import { root } from './environment.js';

const packages = ['scikit-sparse==0.4.16', 'sansa==1.1.0', 'pyarrow'];

/**
 * A Python that has the reference: `SANSA_PYTHON`, or a virtual environment outside the repository that is
 * made at the first call (it compiles against SuiteSparse: Debian's package libsuitesparse-dev).
 */
export function referencePython(log: (line: string) => void): string {
  if (process.env.SANSA_PYTHON) return process.env.SANSA_PYTHON;
  const venv = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sansa-stream', 'reference');
  const python = join(venv, 'bin/python');
  const ready = () => {
    try {
      execFileSync(python, ['-c', 'import sansa, pyarrow'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (existsSync(python) && ready()) return python;
  log(`installing the reference into ${venv}`);
  mkdirSync(dirname(venv), { recursive: true });
  try {
    execFileSync('python3', ['-m', 'venv', venv], { stdio: 'ignore' });
    execFileSync(python, ['-m', 'pip', 'install', '-q', ...packages], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    throw new StageError(
      'USAGE',
      `the reference could not be installed (${String((error as Error).message).split('\n')[0]}); it needs Python 3 and libsuitesparse-dev, or name a Python that has it in SANSA_PYTHON`,
    );
  }
  return python;
}

/** What `reference.py` prints. */
export interface ReferenceResult {
  readonly fitSeconds: number;
  readonly scoreSeconds: number;
  readonly peakRssBytes: number;
  readonly 'recall@20': number;
  readonly 'ndcg@20': number;
  readonly users: number;
  readonly parameters: number;
}

/** Returns a function that runs the reference once, in a process of its own. */
export function openReference(log: (line: string) => void) {
  const python = referencePython(log);
  const script = join(root, 'test/bench/reference.py');
  return (train: string, test: string, l2: number, density: number): ReferenceResult => {
    const args = [script, train, test, String(l2), String(density)];
    const output = execFileSync(python, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return JSON.parse(output) as ReferenceResult;
  };
}
