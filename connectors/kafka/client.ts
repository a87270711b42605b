import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Kafka, type KafkaConfig, logLevel, type Mechanism, type SASLOptions } from 'kafkajs';
import { type ErrorCode, StageError } from '../../src/errors.js';
import { bearerLogin } from './bearer.js';
import { registerCodecs } from './codecs.js';
import type { ConnectionOptions } from './options.js';

/** Only this folder imports kafkajs. */
export type { Admin, Consumer, Kafka, KafkaMessage, Producer } from 'kafkajs';

type Sasl = NonNullable<ConnectionOptions['sasl']>;

function readPem(path: string, baseDirectory: string, setting: string): Buffer {
  try {
    return readFileSync(resolve(baseDirectory, path));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new StageError('CONFIG_INVALID', `${setting}: expected a readable PEM file at ${path} (${code})`);
  }
}

function tls(ssl: ConnectionOptions['ssl'], baseDirectory: string): TlsOptions | boolean {
  if (typeof ssl === 'boolean') return ssl;
  const { ca, cert, key, ...rest } = ssl;
  return {
    ...(ca ? { ca: readPem(ca, baseDirectory, 'ssl.ca') } : {}),
    ...(cert ? { cert: readPem(cert, baseDirectory, 'ssl.cert') } : {}),
    ...(key ? { key: readPem(key, baseDirectory, 'ssl.key') } : {}),
    ...(rest.passphrase === undefined ? {} : { passphrase: rest.passphrase }),
    ...(rest.servername === undefined ? {} : { servername: rest.servername }),
  };
}

const login = (sasl: Sasl, baseDirectory: string): SASLOptions | Mechanism =>
  sasl.mechanism === 'oauthbearer'
    ? bearerLogin(sasl, path => readPem(path, baseDirectory, 'sasl.tokenFile'))
    : sasl;

/**
 * Makes a client of the cluster. kafkajs retries a failed request for a few seconds, then throws; it logs nothing.
 * `baseDirectory` resolves the paths of PEM files.
 */
export function openKafka(options: ConnectionOptions, baseDirectory = '.'): Kafka {
  registerCodecs();
  const config: KafkaConfig = {
    brokers: [...options.brokers],
    clientId: options.clientId,
    ssl: tls(options.ssl, baseDirectory),
    ...(options.sasl ? { sasl: login(options.sasl, baseDirectory) } : {}),
    connectionTimeout: options.connectionTimeoutMs,
    authenticationTimeout: options.connectionTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    enforceRequestTimeout: true,
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 200, maxRetryTime: 2000, retries: 5 },
  };
  return new Kafka(config);
}

/** How long `patiently` retries: a broker may be starting, or a group coordinator moving. */
const patienceMs = 15_000;

/** Retries `body` for up to `patienceMs` while it throws errors that kafkajs marks as retriable. */
export async function patiently<T>(body: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + patienceMs; ; await sleep(200)) {
    try {
      return await body();
    } catch (error) {
      if (!(error as { retriable?: boolean }).retriable || Date.now() > until) throw error;
    }
  }
}

/** The innermost cause of a kafkajs error; `message` is its first line. */
export function root(error: unknown): {
  readonly name: string;
  readonly message: string;
  readonly type: string;
} {
  let at = error as { cause?: unknown; name?: string; message?: string; type?: string };
  while (at?.cause instanceof Error) at = at.cause as typeof at;
  const message = (at?.message ?? String(error)).split('\n')[0]!;
  return { name: at?.name ?? 'Error', message, type: at?.type ?? '' };
}

/** An error of ours that kafkajs wrapped: what a codec refused. */
function refusal(error: unknown): StageError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof StageError) return at;
  return undefined;
}

/** Turns a kafkajs error into a `StageError` of one line: where it happened, and what to check. */
export function kafkaError(error: unknown, where: string, code: ErrorCode = 'SOURCE_UNREADABLE'): StageError {
  if (error instanceof StageError) return error;
  const refused = refusal(error);
  if (refused) return new StageError(refused.code, `${where}: ${refused.message}`, { cause: error });
  const { name, message, type } = root(error);
  const say = (text: string, as = code) => new StageError(as, `${where}: ${text}`, { cause: error });
  if (/SASL/.test(name) || type === 'SASL_AUTHENTICATION_FAILED')
    return say(`the broker refused the login (${message})`, 'ACCESS_REFUSED');
  if (/AUTHORIZATION_FAILED/.test(type))
    return say(`the broker does not permit it (${message})`, 'ACCESS_REFUSED');
  if (/certificate|alert|wrong version number/i.test(message))
    return say(`no TLS connection (${message})`, 'ACCESS_REFUSED');
  if (type === 'INCONSISTENT_GROUP_PROTOCOL')
    return say(
      'the consumer group is in use by consumers of another kind; give this state a group of its own',
      'GROUP_TAKEN',
    );
  if (name === 'KafkaJSNotImplemented') return say(`records are compressed in an unknown way (${message})`);
  return say(message.replace(/^Failed to connect: /, ''));
}
