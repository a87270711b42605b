/**
 * A broker that asks for TLS, a client certificate and a login: the right ones work by every mechanism, from the
 * command line too; a wrong one gives one clear error at once; and no secret is ever printed.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createKafkaSink } from '#connectors/kafka/sink.js';
import { kafkaSinkOptions } from '#connectors/kafka/sink-options.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { makeCertificates } from '../../support/kafka/certificates.js';
import { drain, json, makeTopic, produce, sourceOn } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-kafka-'));
makeCertificates(directory);
const passwords = { plain: 'plain-s3cret', scram256: 'scram256-s3cret', scram512: 'scram512-s3cret' };
const wrong = 'wr0ng-s3cret';
const modules = 'org.apache.kafka.common.security';
const properties = {
  'ssl.keystore.type': 'PEM',
  'ssl.keystore.location': join(directory, 'broker.pem'),
  'ssl.truststore.type': 'PEM',
  'ssl.truststore.location': join(directory, 'ca.pem'),
  'listener.name.external.ssl.client.auth': 'required',
  'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
  'listener.name.external.plain.sasl.jaas.config': `${modules}.plain.PlainLoginModule required user_shop="${passwords.plain}";`,
  'listener.name.external.scram-sha-256.sasl.jaas.config': `${modules}.scram.ScramLoginModule required;`,
  'listener.name.external.scram-sha-512.sasl.jaas.config': `${modules}.scram.ScramLoginModule required;`,
};
const scram = [
  { mechanism: 'SCRAM-SHA-256', user: 'scram256', password: passwords.scram256 },
  { mechanism: 'SCRAM-SHA-512', user: 'scram512', password: passwords.scram512 },
] as const;
const ssl = {
  ca: join(directory, 'ca.pem'),
  cert: join(directory, 'client.pem'),
  key: join(directory, 'client.key'),
};
const logins = [
  { mechanism: 'plain', username: 'shop', password: passwords.plain },
  { mechanism: 'scram-sha-256', username: 'scram256', password: passwords.scram256 },
  { mechanism: 'scram-sha-512', username: 'scram512', password: passwords.scram512 },
] as const;

await withBroker('a secured broker', { protocol: 'SASL_SSL', directory, properties, scram }, broker => {
  describe.each(logins)('by $mechanism', sasl => {
    it('lets the right password in, to read and to publish', async () => {
      const topic = await makeTopic(broker());
      await produce(broker(), topic, [json({ user: 'u', item: 'i' })]);
      const { rows } = await drain(sourceOn(broker(), [topic], { ssl, sasl }));
      expect(rows.map(r => r.item)).toEqual(['i']);
      const sink = createKafkaSink(
        kafkaSinkOptions.parse({
          type: 'kafka',
          brokers: [...broker().brokers],
          prefix: sasl.mechanism,
          ssl,
          sasl,
        }),
      );
      await sink.connect();
      expect(await sink.versions()).toEqual([]);
      await sink.close();
    });

    it('refuses a wrong password with one error', async () => {
      const settings = { ssl, sasl: { ...sasl, password: wrong } };
      await expect(drain(sourceOn(broker(), ['any'], settings))).rejects.toMatchObject({
        code: 'ACCESS_REFUSED',
        message: expect.stringMatching(/^source kafka: the broker refused the login \(.*\)$/),
      });
    });
  });

  it('refuses a client without a certificate, and an authority it does not know', async () => {
    const sasl = logins[0];
    for (const other of [{ ca: ssl.ca }, { ca: ssl.cert, cert: ssl.cert, key: ssl.key }])
      await expect(drain(sourceOn(broker(), ['any'], { ssl: other, sasl }))).rejects.toMatchObject({
        code: 'ACCESS_REFUSED',
        message: expect.stringMatching(/no TLS connection/),
      });
  });

  it('prints no secret, and ends at once with what to do', { timeout: 120_000 }, async () => {
    const topic = await makeTopic(broker());
    await produce(broker(), topic, [json({ user: 'u', item: 'i' })]);
    const home = temporaryDirectory();
    const access = {
      type: 'kafka',
      brokers: [...broker().brokers],
      ssl,
      sasl: {
        mechanism: 'scram-sha-512',
        username: 'scram512',
        password: `\${KAFKA_PASSWORD}`,
      },
    };
    writeFileSync(
      join(home, 'pipeline.yaml'),
      stringify({
        sources: [{ ...access, topics: [topic], group: topic }],
        sinks: [{ ...access, prefix: topic }],
        log: { level: 'debug' },
      }),
    );
    let printed = '';
    async function run(password: string, ...args: readonly string[]) {
      const result = await runCli([...args, '-c', 'pipeline.yaml', '--json'], {
        cwd: home,
        env: { KAFKA_PASSWORD: password },
      });
      printed += result.stdout + result.stderr;
      return result;
    }
    expect((await run(passwords.scram512, 'ingest')).json()).toMatchObject({ events: 1 });
    expect((await run(passwords.scram512, 'validate')).code).toBe(0);
    for (const command of ['ingest', 'run']) {
      const refused = await run(wrong, command);
      expect(refused.code).toBe(1);
      const said = refused.stderr.split('\n').filter(line => /refused the login/.test(line));
      expect(said, refused.stderr).toHaveLength(1);
      expect(refused.stderr).toMatch(/ACCESS_REFUSED/);
      expect(refused.stderr).toMatch(/check the user name, the password/);
    }
    expect(printed).toContain('scram512');
    for (const secret of [...Object.values(passwords), wrong]) expect(printed).not.toContain(secret);
  });
});
