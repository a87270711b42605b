import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StageError } from '../../../src/errors.js';
import { root as repository } from '../../bench/environment.js';
import { startRedis } from '../../bench/redis-server.js';
import { scenarios } from './scenarios.js';
import { compileShim } from './shim.js';
import type { TrialOrder, TrialResult } from './trial.js';

export interface CrashOptions {
  readonly kills: number;
  readonly seed: number;
  /** One trial by its number, or the trials of one scenario. */
  readonly only?: string | undefined;
  /** With the number of a trial: where the processes die, such as `torn@12,850ms`. */
  readonly at?: string | undefined;
  readonly log: (line: string) => void;
}

/** Longest time of one trial, in milliseconds. */
const patienceMs = 600_000;

type Answer = { readonly result: TrialResult } | { readonly error: string };

/**
 * Kills processes of the command line again and again — at named points, at random times, at a file operation, in the
 * middle of one — and looks after each death whether state and sinks are what they must be; then lets the same command
 * go on. Redis takes part where there is a `redis-server`. SIGINT and SIGTERM end it behind the present trial.
 */
export async function chaosCrash(options: CrashOptions) {
  assertKnown(options.only);
  const root = mkdtempSync(join(tmpdir(), 'sansa-stream-crash-'));
  try {
    return await killIn(root, options);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function killIn(root: string, { kills, seed, only, at, log }: CrashOptions) {
  const library = compileShim(root);
  const redis = hasRedis() ? await startRedis(root) : undefined;
  const trials = startWorker([root, library, redis?.url ?? '']);
  const totals = { kills: 0, checks: 0, reads: 0, trials: 0, survived: 0, redis: redis !== undefined };
  const by: Record<string, number> = {};
  const violations: string[] = [];
  const started = performance.now();
  let stopped = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => (stopped = true));
  try {
    for (const index of indices(only)) {
      const order = { seed, index, at: at?.split(',') };
      const answer = await trials.ask(order);
      // A signal to the whole group ends the worker and Redis too.
      if (stopped && 'error' in answer) break;
      const told = lines(order, answer);
      for (const line of told) log(line);
      violations.push(...told);
      totals.trials++;
      if ('result' in answer) {
        const { result } = answer;
        totals.kills += result.kills;
        totals.checks += result.checks;
        totals.reads += result.reads;
        totals.survived += result.blows.length - result.kills;
        by[result.scenario] = (by[result.scenario] ?? 0) + result.kills;
        log(
          `trial ${index}: ${result.scenario} under ${result.meaning}, ${result.deaths.join('; ') || 'survived'}`,
        );
      }
      if (stopped || totals.kills >= kills || totals.trials >= 3 * kills) break;
    }
  } finally {
    await trials.stop();
    await redis?.stop();
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  return { ...totals, by, seconds, violations: violations.length, found: violations };
}

/** Only a server of our own takes part, since its keys are deleted; `REDIS_URL` names somebody else's. */
function hasRedis(): boolean {
  if (process.env.REDIS_URL !== undefined) return false;
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const names = scenarios.map(s => s.name);

function assertKnown(only: string | undefined): void {
  if (only === undefined || /^\d+$/.test(only) || names.includes(only)) return;
  throw new StageError('USAGE', `--only takes the number of a trial or one of ${names.join(', ')}`);
}

function* indices(only: string | undefined): Generator<number> {
  if (only !== undefined && !names.includes(only)) yield Number(only);
  else
    for (let index = 0; ; index++)
      if (only === undefined || names[index % names.length] === only) yield index;
}

/** A violation in one line each. */
function lines({ seed, index }: TrialOrder, answer: Answer): string[] {
  const again = `npm run -s chaos -- crash --seed ${seed} --only ${index}`;
  const scenario = names[index % names.length];
  if ('error' in answer)
    return [
      `seed ${seed}, trial ${index}, ${scenario}: ${answer.error.split('\n', 2).join(' ')}; again: ${again}`,
    ];
  const { meaning, blows, faults } = answer.result;
  return faults.map(
    fault =>
      `seed ${seed}, trial ${index}, ${scenario} under ${meaning}, ${fault}; again: ${again} --at ${blows.join()}`,
  );
}

/** A process that makes trials; a new one after each that died of what it looked at. */
function startWorker(args: readonly string[]) {
  let child: ChildProcess | undefined;
  return {
    async ask(order: TrialOrder): Promise<Answer> {
      child ??= fork(join(repository, 'dist/test/chaos/crash/worker.js'), args, {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const current = child;
      const stop = new AbortController();
      const timer = setTimeout(() => current.kill('SIGKILL'), patienceMs);
      current.send(order);
      try {
        return await Promise.race([
          once(current, 'message', { signal: stop.signal }).then(([answer]) => answer as Answer),
          once(current, 'exit', { signal: stop.signal }).then(([code, signal]) => {
            child = undefined;
            return { error: `the process that looked at it ended by ${signal ?? code}` };
          }),
        ]);
      } finally {
        clearTimeout(timer);
        stop.abort();
      }
    },
    async stop(): Promise<void> {
      if (!child || child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}
