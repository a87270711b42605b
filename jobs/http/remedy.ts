import { type ErrorCode, remedyOf, type StageError } from '../../src/errors.js';

/** Remedies for those who ask by HTTP: the ones of the error table name commands. */
const remedies: Partial<Record<ErrorCode, string>> = {
  USAGE: 'correct the request; the manual has its route and its parameters',
  CONFIG_INVALID: 'correct the named parameter and send the request again',
  MODEL_UNKNOWN: 'POST /api/v1/refit fits a model first; GET /api/v1/models has the versions there are',
  VERSION_UNKNOWN: 'POST /api/v1/publish publishes the model again',
  STATE_CORRUPT: 'POST /api/v1/verify looks at the state; restore the named file or rebuild from the sources',
};

/** What somebody who asked by HTTP should do: the error's own remedy if it has one. */
export const httpRemedy = ({ code, remedy }: StageError): string =>
  remedy === remedyOf(code) ? (remedies[code] ?? remedy) : remedy;
