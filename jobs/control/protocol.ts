/**
 * The protocol of the control socket: JSON, a line each. The client sends one request; the stage answers with any number of
 * `progress` lines and then one `result` or `error`, and closes. A client that leaves before stops what it asked for.
 */
import type { ErrorCode } from '../../src/errors.js';

export interface Request {
  readonly operation: string;
  readonly parameters: unknown;
}

export type Reply =
  | { readonly progress: string }
  | { readonly result: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly remedy?: string } };

/** Characters of a request at most. */
export const longestRequest = 2 ** 20;

export const asLine = (value: Request | Reply): string => `${JSON.stringify(value)}\n`;
