import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Starts `script`, an ES module, in a Node process of its own, with `args` from `process.argv[1]` on. */
export function startNode(script: string, args: readonly string[] = []): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '--eval', script, ...args], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** Starts `script` by a shell: `command` runs `"$0"`, which is Node, with `"$1"`, the script, and the arguments. */
export function startShell(command: string, script: string, args: readonly string[]): ChildProcess {
  return spawn('bash', ['-c', command, process.execPath, script, ...args], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Standard output of a process until it ends; throws unless it exits with 0. */
export async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`expected exit code 0, found ${code}`);
  return text;
}
