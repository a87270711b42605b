import kafkajs, { type Mechanism } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import type { ConnectionOptions } from './options.js';

type Bearer = NonNullable<ConnectionOptions['sasl']> & { mechanism: 'oauthbearer' };

/** Ends each part of a message of this mechanism. */
const separator = '\x01';

async function tokenOf(sasl: Bearer, read: (path: string) => Buffer): Promise<string> {
  if (sasl.token !== undefined) return sasl.token;
  if (sasl.tokenFile !== undefined) return read(sasl.tokenFile).toString('utf8').trim();
  if (sasl.tokenEndpoint === undefined)
    throw new StageError(
      'CONFIG_INVALID',
      'sasl: expected one of token, tokenFile, tokenEndpoint, found none',
    );
  const { clientId = '', clientSecret = '', scope } = sasl;
  const response = await fetch(sasl.tokenEndpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope ? { scope } : {}) }),
  });
  const answer = (await response.json().catch(() => ({}))) as { access_token?: unknown };
  if (!response.ok || typeof answer.access_token !== 'string')
    throw new Error(`sasl.tokenEndpoint answered ${response.status} without a token`);
  return answer.access_token;
}

/** Bytes as a broker expects them: behind their length. */
function framed(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/**
 * Logs in with a token (RFC 7628). A broker refuses one with a challenge, to which kafkajs by itself would not listen:
 * the next request would then fail for a reason that has nothing to do with it. `read` reads the file of a token.
 */
export function bearerLogin(sasl: Bearer, read: (path: string) => Buffer): Mechanism {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({
      async authenticate() {
        const token = await tokenOf(sasl, read);
        const say = async (text: string): Promise<string> => {
          const answer = await saslAuthenticate<string>({
            request: { encode: () => framed(text) },
            response: { decode: bytes => bytes, parse: bytes => bytes.toString() },
          });
          return answer ?? '';
        };
        const refused = (why: string) =>
          Object.assign(
            new kafkajs.KafkaJSNonRetriableError(`SASL OAUTHBEARER authentication failed: ${why}`),
            { name: 'KafkaJSSASLAuthenticationError' },
          );
        let challenge: string | undefined;
        try {
          challenge = /\{.*\}/s.exec(
            await say(`n,,${separator}auth=Bearer ${token}${separator}${separator}`),
          )?.[0];
          if (challenge !== undefined) await say(separator);
        } catch (error) {
          throw refused((error as Error).message);
        }
        if (challenge !== undefined) throw refused(challenge);
      },
    }),
  };
}
