import { availableParallelism } from 'node:os';
import type { ParseArgsConfig } from 'node:util';
import type { Logger } from '../src/contracts/index.js';
import { StageError } from '../src/errors.js';
import { assertWorkable } from '../src/fit/memory.js';
import { parseSize } from '../src/size.js';
import type { LoadedConfig } from './config.js';
import type { Pipeline } from './open.js';

/** Values of the options of a command line. */
export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** What a command works with. */
export interface CommandContext {
  readonly values: Values;
  readonly positionals: readonly string[];
  readonly log: Logger;
  /** Shows how far a long step is: a line that is rewritten on a terminal, plain lines elsewhere. */
  readonly progress: (text: string) => void;
  /** Reads the file named by `-c`. */
  config(): LoadedConfig;
  /** Opens the pipeline named by `-c`; it is closed when the command ends. `patient` waits while another process has it. */
  pipeline(patient?: boolean): Promise<Pipeline>;
  /** Opens the pipeline named by `-c` for reading only: its state is neither made nor changed. */
  reader(): Promise<Pipeline>;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** What a command has to say: one JSON object with `--json`, the text without. */
export interface Outcome {
  readonly json: object;
  readonly text: string;
  /** Exit code, 0 by default. */
  readonly exitCode?: number;
}

/** A command of the CLI. */
export interface Command {
  readonly summary: string;
  /** How it is called, after its name. */
  readonly usage: string;
  /** Its arguments by name, in order; `[NAME]` may be left out. */
  readonly arguments?: readonly string[];
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  /** What each option does, for the help. */
  readonly help?: Readonly<Record<string, string>>;
  run(context: CommandContext): Promise<Outcome>;
}

/** `n` with a thin separator every three digits. */
export const count = (n: number): string => n.toLocaleString('en-US');

/** A flag's value as a whole number ≥ 1. */
export function wholeNumber(flag: string, value: NonNullable<Values[string]>): number {
  const n = Number(value);
  if (Number.isInteger(n) && n >= 1) return n;
  throw new StageError('USAGE', `--${flag}: expected a whole number ≥ 1, found ${JSON.stringify(value)}`);
}

/** The flags that `allowanceOf` reads, and what they do. */
export const allowanceFlags = { threads: { type: 'string' }, memory: { type: 'string' } } as const;
export const allowanceHelp = {
  threads: 'threads to use (one a core)',
  memory: 'what it may use beside the fixed base of the runtime (1GiB)',
} as const;

/** What `--memory` and `--threads` allow a command that works without a configuration: 1 GiB and one a core. */
export function allowanceOf({ memory, threads }: Values): {
  readonly memoryBytes: number;
  readonly threads: number;
} {
  const memoryBytes = parseSize(typeof memory === 'string' ? memory : '1GiB', '--memory');
  assertWorkable(memoryBytes);
  return {
    memoryBytes,
    threads: threads === undefined ? availableParallelism() : wholeNumber('threads', threads),
  };
}
