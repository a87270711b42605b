import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { StageError } from '../../src/errors.js';
import { root } from './environment.js';

/** A virtual environment of Python outside the repository, which is made at the first call. */
interface Environment {
  readonly name: string;
  /** Names a Python that has it already. */
  readonly variable: string;
  readonly imports: string;
  readonly packages: readonly string[];
  readonly needs: string;
}

const sansa: Environment = {
  name: 'reference',
  variable: 'SANSA_PYTHON',
  imports: 'sansa, pyarrow',
  packages: ['scikit-sparse==0.4.16', 'sansa==1.1.0', 'pyarrow'],
  needs: 'Python 3 and libsuitesparse-dev', // it compiles against SuiteSparse
};

const elsa: Environment = {
  name: 'reference-elsa',
  variable: 'ELSA_PYTHON',
  imports: 'elsa, torch, pyarrow',
  packages: ['elsarec==0.1.4', 'torch', 'pyarrow'],
  needs: 'Python 3, and 5 GB for torch',
};

function pythonOf(environment: Environment, log: (line: string) => void): string {
  const { name, variable, imports, packages, needs } = environment;
  const given = process.env[variable];
  if (given) return given;
  const venv = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sansa-stream', name);
  const python = join(venv, 'bin/python');
  const ready = () => {
    try {
      execFileSync(python, ['-c', `import ${imports}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (existsSync(python) && ready()) return python;
  log(`installing ${packages.join(', ')} into ${venv}`);
  mkdirSync(dirname(venv), { recursive: true });
  try {
    execFileSync('python3', ['-m', 'venv', venv], { stdio: 'ignore' });
    execFileSync(python, ['-m', 'pip', 'install', '-q', ...packages], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    throw new StageError(
      'USAGE',
      `the reference could not be installed (${String((error as Error).message).split('\n')[0]}); it needs ${needs}, or name a Python that has it in ${variable}`,
    );
  }
  return python;
}

/** A Python that has sansa. */
export const referencePython = (log: (line: string) => void): string => pythonOf(sansa, log);

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

/** What a script prints as JSON, run in a process of its own. */
function printed<T>(python: string, script: string, args: readonly (string | number)[]): T {
  const all = [join(root, 'test/bench', script), ...args.map(String)];
  return JSON.parse(
    execFileSync(python, all, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  ) as T;
}

/** Returns a function that runs sansa once, by its incomplete or its exact factorization. */
export function openReference(log: (line: string) => void) {
  const python = referencePython(log);
  return (
    train: string,
    test: string,
    l2: number,
    density: number,
    factorization: 'icf' | 'cholmod' = 'icf',
  ): ReferenceResult => printed(python, 'reference.py', [train, test, l2, density, factorization]);
}

/** Returns what runs elsarec on a CPU: its training as published, and its loss at given vectors. */
export function openElsa(log: (line: string) => void) {
  const python = pythonOf(elsa, log);
  return {
    train: (train: string, test: string, rank: number, epochs: number): ReferenceResult =>
      printed(python, 'reference_elsa.py', ['train', train, test, rank, epochs, 0.1]),
    loss: (directory: string, users: number, items: number, rank: number): { readonly nmse: number } =>
      printed(python, 'reference_elsa.py', ['loss', directory, users, items, rank]),
  };
}
