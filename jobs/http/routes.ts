/** The routes of the JSON API: which operation answers, and where its parameters stand. */
import type { OperationName } from '../operations/index.js';

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly operation: OperationName;
}

const get = (path: string, operation: OperationName): Route => ({ method: 'GET', path, operation });
const post = (path: string, operation: OperationName): Route => ({ method: 'POST', path, operation });

/** Parameters of GET stand in the path and the query, those of POST in a JSON body. */
export const routes: readonly Route[] = [
  get('/status', 'status'),
  get('/users/:user/recommendations', 'recommend'),
  get('/users/:user/explanations/:item', 'explain'),
  get('/items/:item/similar', 'similar'),
  get('/segments', 'segments'),
  get('/models', 'models'),
  get('/models/:version', 'model'),
  get('/runs', 'runs'),
  get('/signals', 'signals'),
  get('/dead-letters', 'deadLetters'),
  post('/fold', 'fold'),
  post('/refit', 'refit'),
  post('/publish', 'publish'),
  post('/fresh', 'fresh'),
  post('/rollback', 'rollback'),
  post('/forget', 'forget'),
  post('/prune', 'prune'),
  post('/tune', 'tune'),
  post('/verify', 'verify'),
  post('/compact', 'compact'),
  post('/dead-letters/drop', 'dropDeadLetters'),
  post('/dead-letters/retry', 'retryDeadLetters'),
];

/** Parameters that are numbers: a path and a query have only text. */
const numbers = new Set(['k', 'limit', 'since']);

/** A number as text; any other text as it is, so that it is quoted where a number is expected. */
const read = (value: string): number | string =>
  value.trim() === '' || Number.isNaN(Number(value)) ? value : Number(value);

/** The parameters of a GET. */
export const readParameters = (...given: readonly Readonly<Record<string, string>>[]): object =>
  Object.fromEntries(
    given
      .flatMap(Object.entries<string>)
      .map(([name, value]) => [name, numbers.has(name) ? read(value) : value]),
  );
