/** Redis over TLS, with certificates that openssl makes for the occasion. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createRedisSink, redisOptions } from '#connectors/redis/sink.js';
import type { Sink } from '#src/contracts/index.js';
import { temporaryDirectory } from '../../support/directory.js';
import { manifestOf } from '../../support/manifest.js';
import { freePort, missingOwn, onRedis, skipped, startRedis } from '../../support/redis.js';
import { ranked } from '../../support/sink-suite.js';

/** Why there can be no server with TLS, if there can be none: a build without it does not know its settings. */
function missingTls(): string | undefined {
  if (missingOwn) return missingOwn;
  if (spawnSync('openssl', ['version']).status !== 0) return 'no openssl';
  const settings = ['--port', '0', '--tls-auth-clients', 'no'];
  const { stdout, stderr } = spawnSync('redis-server', settings, { encoding: 'utf8', timeout: 10_000 });
  return /bad directive/i.test(stdout + stderr) ? 'redis-server was built without TLS' : undefined;
}

/** Makes an authority, and a certificate of it for localhost; returns their files. */
function certificates(directory: string) {
  const at = (name: string): string => join(directory, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const fresh = ['-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...fresh, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=authority');
  openssl('req', ...fresh, '-keyout', at('key.pem'), '-out', at('csr.pem'), '-subj', '/CN=localhost');
  const authority = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial'];
  openssl('x509', '-req', '-in', at('csr.pem'), ...authority, '-out', at('cert.pem'), '-days', '2');
  return { ca: at('ca.crt'), cert: at('cert.pem'), key: at('key.pem') };
}

const why = missingTls();

describe.skipIf(skipped(why))(`Redis over TLS${why ? ` (${why})` : ''}`, () => {
  it('trusts the authority that is named, and shows its own certificate', { timeout: 60_000 }, async () => {
    const files = certificates(temporaryDirectory());
    const port = await freePort();
    const tls = ['--tls-port', String(port), '--tls-ca-cert-file', files.ca];
    const server = await startRedis(...tls, '--tls-cert-file', files.cert, '--tls-key-file', files.key);
    onTestFinished(() => server.remove());
    const connected = async (settings: object): Promise<Sink> => {
      const url = `rediss://127.0.0.1:${port}`;
      const sink = createRedisSink(
        redisOptions.parse({ type: 'redis', url, timeoutMs: 2000, tls: settings }),
      );
      onTestFinished(() => sink.close());
      await sink.connect();
      return sink;
    };
    const sink = await connected({ ...files, serverName: 'localhost' });
    await sink.begin(manifestOf('v1'));
    await sink.write('users', [ranked('u', ['a'])]);
    await sink.finish();
    await sink.point('v1');
    expect(await onRedis(server.url, send => send('GET', 'sansa:current'))).toBe('v1');

    const refused = (settings: object, message: RegExp) =>
      expect(connected(settings)).rejects.toMatchObject({
        code: 'SINK_FAILED',
        message: expect.stringMatching(message),
      });
    await refused({ cert: files.cert, key: files.key, serverName: 'localhost' }, /certificate/);
    await refused({ ...files, serverName: 'elsewhere' }, /elsewhere/);
    await refused({ ca: files.ca, serverName: 'localhost' }, /expected to connect/);
  });
});
