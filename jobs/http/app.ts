import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { type ErrorCode, StageError, toStageError } from '../../src/errors.js';
import { checkParameters, type Host, perform } from '../operations/perform.js';
import { answer, isToken, refusal } from './answers.js';
import { addEvents } from './events.js';
import type { OpenStage, StageMetrics } from './metrics.js';
import { httpRemedy } from './remedy.js';
import { readParameters, routes } from './routes.js';
import { Tasks } from './tasks.js';

/** Bounds of a request and of its answer. */
const largestBody = 64 * 1024;
const longestUrl = 4096;
const longestAnswerMs = 30_000;

/** HTTP status of failures; 500 of the others. */
const statuses: Partial<Record<ErrorCode, 400 | 404 | 409 | 503>> = {
  USAGE: 400,
  CONFIG_INVALID: 400,
  UNKNOWN_ID: 404,
  MODEL_UNKNOWN: 404,
  VERSION_UNKNOWN: 404,
  STATE_EMPTY: 409,
  INTERRUPTED: 503,
};

function failed(error: unknown): Response {
  const failure = toStageError(error);
  const { code, message } = failure;
  return refusal(statuses[code] ?? 500, code, message, httpRemedy(failure));
}

/** The result, or a failure when it takes too long; the operation itself may go on. */
async function soon<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      late.abort();
      reject(new StageError('INTERRUPTED', `no answer within ${longestAnswerMs} ms`));
    }, longestAnswerMs);
  });
  try {
    return await Promise.race([body(late.signal), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Who may ask. */
export interface Access {
  /** The token of requests that change something. */
  readonly token: string | undefined;
  /** It listens on a loopback address: then a page of a browser that found another name for it is refused. */
  readonly local: boolean;
}

/** Loopback addresses as a `Host` header has them. */
export const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/** The HTTP application over a stage; `stage` gives nothing while this process stands by. */
export function createApp(
  stage: () => OpenStage | undefined,
  metrics: StageMetrics,
  { token, local }: Access,
): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    if (local && !loopback.test(c.req.header('host') ?? ''))
      return refusal(421, 'USAGE', 'expected a loopback address as the host', 'ask for localhost');
    if (c.req.url.length > longestUrl)
      return refusal(
        414,
        'USAGE',
        `expected a URL of at most ${longestUrl} characters`,
        'send a shorter one',
      );
    await next();
    c.res.headers.set('cache-control', 'no-store');
    c.res.headers.set('x-content-type-options', 'nosniff');
    return undefined;
  });
  app.notFound(c => refusal(404, 'USAGE', `${c.req.method} ${c.req.path}: no such route`, 'see the manual'));
  app.onError(failed);
  addHealth(app, stage, metrics);
  addEvents(app, stage, token);
  addApi(app, stage, token);
  return app;
}

function addHealth(app: Hono, stage: () => OpenStage | undefined, metrics: StageMetrics): void {
  app.get('/livez', () => answer(200, { alive: true }));
  app.get('/readyz', () => {
    const open = stage();
    if (!open) return answer(503, { ready: false, standby: true });
    const { parts } = open.health;
    const ready = parts.every(({ problem }) => problem === undefined);
    return answer(ready ? 200 : 503, { ready, standby: false, parts });
  });
  app.get('/metrics', async () => {
    const text = await metrics.text();
    return new Response(text, { headers: { 'content-type': metrics.contentType } });
  });
}

function addApi(app: Hono, stage: () => OpenStage | undefined, token: string | undefined): void {
  const tasks = new Tasks();
  const api = new Hono();
  const hostOf = (): Host => {
    const open = stage();
    if (open) return open.host;
    throw new StageError('INTERRUPTED', 'this process stands by: another one has the state');
  };
  const refused = (c: Context): Response | undefined => {
    if (token === undefined)
      return refusal(403, 'USAGE', 'changes by HTTP are off', 'set `http.token` to allow them');
    if (isToken(token, c.req.header('authorization'))) return undefined;
    return refusal(401, 'ACCESS_REFUSED', 'expected the bearer token', 'send `Authorization: Bearer …`');
  };
  for (const { method, path, operation } of routes.filter(r => r.method === 'GET'))
    api.on(method, path, async c => {
      const parameters = readParameters(c.req.query(), c.req.param());
      return answer(200, await soon(signal => perform(hostOf(), operation, parameters, { signal })));
    });
  for (const { method, path, operation } of routes.filter(r => r.method === 'POST'))
    api.on(method, path, limited, async c => {
      const no = refused(c);
      if (no) return no;
      const host = hostOf();
      if (tasks.isFull) return refusal(429, 'USAGE', 'too many tasks wait', 'try again when some have ended');
      const parameters = await bodyOf(c);
      await checkParameters(host, operation, parameters);
      const task = tasks.start(operation, () => perform(host, operation, parameters));
      return answer(202, task, { location: `/api/v1/tasks/${task.id}` });
    });
  api.get('/tasks/:id', c => {
    const task = tasks.get(c.req.param('id'));
    if (!task) return refusal(404, 'UNKNOWN_ID', 'no such task', 'see /api/v1/runs for what has run');
    return refused(c) ?? answer(200, task);
  });
  app.route('/api/v1', api);
}

const limited = bodyLimit({
  maxSize: largestBody,
  onError: () =>
    refusal(413, 'USAGE', `expected a body of at most ${largestBody} bytes`, 'send fewer parameters'),
});

/** The JSON object in the body of a request; none is an empty one. */
async function bodyOf(c: Context): Promise<object> {
  const text = await c.req.text();
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // It is refused below.
  }
  throw new StageError('USAGE', 'body: expected a JSON object');
}
