/** Events by HTTP: `POST /events`, which hands records to a source and answers once they are in the state. */
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Intake, SentOutcome, Source } from '../../src/contracts/index.js';
import { answer, isToken, refusal } from './answers.js';
import type { OpenStage } from './metrics.js';

/** How long a sender waits for the state. */
const longestWaitMs = 30_000;
/** When a sender may come again. */
const again = { 'retry-after': '1' };

type Receiver = Source & { readonly intake: Intake };
const isReceiver = (source: Source): source is Receiver => source.intake !== undefined;

const later = (status: number, message: string): Response =>
  answer(status, { error: { code: 'INTERRUPTED', message, remedy: 'send it again after a second' } }, again);

/** The answer to a sender. */
function answerOf(outcome: SentOutcome): Response {
  switch (outcome.kind) {
    case 'taken': {
      const { kind: _, ...counts } = outcome;
      return answer(202, counts);
    }
    case 'busy':
      return later(429, 'too many events wait for the state');
    case 'closed':
      return later(503, 'the events are not in the state');
    case 'foreign':
      return refusal(415, 'USAGE', outcome.reason, 'send lines of JSON as application/x-ndjson');
    case 'faulty':
      return refusal(400, 'USAGE', outcome.reason, 'correct it, and send all of it again: nothing was taken');
  }
}

/** The source that a path means. */
function receiverOf({ host }: OpenStage, name: string | undefined): Receiver | Response {
  const receivers = host.pipeline.parts.sources.filter(isReceiver);
  const named = name === undefined ? receivers : receivers.filter(s => s.name === name);
  if (named.length === 1) return named[0]!;
  const paths = receivers.map(s => `/events/${s.name}`).join(', ') || 'none';
  return refusal(
    404,
    'UNKNOWN_ID',
    `expected one of the paths ${paths}`,
    'add a source of type push, or name one',
  );
}

/** Adds the routes; `token` is that of senders whose source has none of its own. */
export function addEvents(app: Hono, stage: () => OpenStage | undefined, token: string | undefined): void {
  app.post('/events/:source?', async c => {
    const open = stage();
    if (!open) return later(503, 'this process starts, or stands by while another one has the state');
    const receiver = receiverOf(open, c.req.param('source'));
    if (receiver instanceof Response) return receiver;
    const { intake } = receiver;
    const secret = intake.token ?? token;
    if (secret === undefined)
      return refusal(403, 'USAGE', 'changes by HTTP are off', 'set `token` of the source or `http.token`');
    if (!isToken(secret, c.req.header('authorization')))
      return refusal(401, 'ACCESS_REFUSED', 'expected the bearer token', 'send `Authorization: Bearer …`');
    return take(c, intake);
  });
}

/** Reads the body, within its bound, and waits for what becomes of it. */
async function take(c: Context, intake: Intake): Promise<Response> {
  const { maxRequestBytes } = intake;
  const encoding = c.req.header('content-encoding') ?? 'identity';
  if (encoding !== 'identity')
    return refusal(415, 'USAGE', `content-encoding: expected none, found ${encoding}`, 'send it as it is');
  const limited = bodyLimit({
    maxSize: maxRequestBytes,
    onError: () =>
      refusal(
        413,
        'USAGE',
        `expected a body of at most ${maxRequestBytes} bytes`,
        'send fewer events at a time, or raise `maxRequestBytes` of the source',
      ),
  });
  const tooLarge = await limited(c, async () => {
    c.res = await handed(intake, c.req.header('content-type') ?? '', Buffer.from(await c.req.arrayBuffer()));
  });
  return tooLarge ?? c.res;
}

async function handed(intake: Intake, contentType: string, body: Buffer): Promise<Response> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Response>(done => {
    const message = `the state has not taken the events within ${longestWaitMs} ms; it may still do so`;
    timer = setTimeout(() => done(later(503, message)), longestWaitMs);
  });
  try {
    return await Promise.race([intake.take(contentType, body).then(answerOf), late]);
  } finally {
    clearTimeout(timer);
  }
}
