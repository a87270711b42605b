import type { ParseArgsConfig } from 'node:util';
import type { Logger } from '../src/contracts/index.js';
import { StageError } from '../src/errors.js';
import type { LoadedConfig } from './config.js';
import type { Pipeline } from './open.js';
import type { OperationName, ParametersOf, ResultOf } from './operations/index.js';

/** Values of the options of a command line. */
export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Everything that a command gets. */
export interface CommandContext {
  readonly values: Values;
  readonly positionals: readonly string[];
  log(): Promise<Logger>;
  /** Shows the progress of a long step; see `createProgress`. */
  readonly progress: (text: string) => void;
  /** Reads the file named by `-c`. */
  config(): Promise<LoadedConfig>;
  /**
   * Carries out an operation: by the stage that runs on the state of `-c`, if there is one, else in this process. The text
   * of its progress is shown.
   */
  ask<N extends OperationName>(name: N, parameters: ParametersOf<N>): Promise<ResultOf<N>>;
  /** Opens the pipeline of `-c`, which is closed when the command ends. With `standBy`, waits while another process has it. */
  pipeline(settings?: { readonly standBy?: boolean }): Promise<Pipeline>;
  /** As `pipeline`, for reading only: the state is neither made nor changed. */
  reader(): Promise<Pipeline>;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** The result of a command: one JSON object for `--json`, a text otherwise. */
export interface CommandResult {
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
  /** Help of each option. */
  readonly help?: Readonly<Record<string, string>>;
  run(context: CommandContext): Promise<CommandResult>;
}

/** A whole number with a comma every three digits. Loading a locale for that would take a tenth of a command's time. */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

/** A flag's value as a whole number ≥ 1. */
export function wholeNumber(flag: string, value: NonNullable<Values[string]>): number {
  const n = Number(value);
  if (Number.isInteger(n) && n >= 1) return n;
  throw new StageError('USAGE', `--${flag}: expected a whole number ≥ 1, found ${JSON.stringify(value)}`);
}
