import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { cli } from '../../bench/environment.js';
import type { Blow } from './scenarios.js';
import { readReport, shimEnvironment } from './shim.js';

/** How a process of the command line ended. */
export interface Ended {
  readonly code: number | null;
  readonly killed: boolean;
  /** Whether it was ended because it went on for too long. */
  readonly stuck: boolean;
  readonly errors: string;
  readonly ms: number;
  readonly operations: number;
  /** The operation at which it died. */
  readonly died: string;
}

/** Longest time that a command may take, in milliseconds. */
const patienceMs = 90_000;

export interface Victim {
  readonly directory: string;
  readonly library: string;
  readonly command: readonly string[];
  readonly blow?: Blow | undefined;
  /** Stop it in peace after so long. */
  readonly stopMs?: number | undefined;
}

/** Runs a command of the command line in `directory` to its end, or to its death. */
export async function runVictim({ directory, library, command, blow, stopMs }: Victim): Promise<Ended> {
  const report = `${directory}.report`;
  const strike = blow?.kind === 'operation' ? blow.strike : undefined;
  const started = performance.now();
  const child = spawn(process.execPath, [cli, ...command, '-c', join(directory, 'pipeline.yaml')], {
    env: {
      ...process.env,
      ...shimEnvironment(library, { directory, report, strike }),
      ...(blow?.kind === 'point' ? { SANSA_STREAM_CRASH_AT: blow.point } : {}),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => (errors += part));
  const signalAll = (signal: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // It has ended meanwhile.
    }
  };
  let stuck = false;
  const timers = [
    setTimeout(() => {
      stuck = true;
      signalAll('SIGKILL');
    }, patienceMs),
    ...(blow?.kind === 'time' ? [setTimeout(() => signalAll('SIGKILL'), blow.ms)] : []),
    ...(stopMs === undefined ? [] : [setTimeout(() => child.kill('SIGTERM'), stopMs)]),
  ];
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  for (const timer of timers) clearTimeout(timer);
  const { operations, died } = readReport(report);
  const ms = performance.now() - started;
  return { code, killed: signal === 'SIGKILL' && !stuck, stuck, errors, ms, operations, died };
}

/** The last lines of what a process said, for messages. */
export const lastWords = ({ code, errors, stuck }: Ended): string =>
  `${stuck ? 'no end' : `exit code ${code}`}: ${errors.trim().split('\n').slice(-2).join(' ').slice(-300)}`;
