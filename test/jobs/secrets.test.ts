/** No secret of a configuration is said: each place where one can stand has a canary of its own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { redacted, rememberSecrets, withoutSecrets } from '#jobs/secrets.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';

const pem = (canary: string) => `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`;
const places: [string, object, string][] = [
  ['password', { password: 'canary-01' }, 'canary-01'],
  ['a number', { password: 20240117 }, '20240117'],
  ['a list of passwords', { password: ['canary-02'] }, 'canary-02'],
  ['a misspelt name', { pasword: 'canary-03' }, 'canary-03'],
  ['URL', { url: 'redis://u:canary-04@host:1' }, 'canary-04'],
  ['URL, @ in the password', { url: 'redis://u:a@canary-05@host:1' }, 'canary-05'],
  ['URL, / in the password', { url: 'redis://u:a/canary-06@host:1' }, 'canary-06'],
  ['URL, comma in the password', { url: 'redis://u:a,canary-07@host:1' }, 'canary-07'],
  ['URL without a user', { url: 'redis://canary-08@host:1' }, 'canary-08'],
  ['two URLs', { url: 'redis://u:x@a:1,redis://u:canary-09@b:2' }, 'canary-09'],
  ['brokers', { brokers: 'u:canary-10@host:1' }, 'canary-10'],
  ['a list of brokers', { brokers: ['a:1', 'u:canary-11@host:1'] }, 'canary-11'],
  ['sasl as text', { sasl: 'canary-12' }, 'canary-12'],
  ['a token', { sasl: { token: 'canary-13' } }, 'canary-13'],
  ['PEM', { tls: { key: pem('canary-14') } }, 'canary-14'],
  ['a connection string', { query: "postgres_scan('host=x password=canary-15 user=y')" }, 'canary-15'],
  ['SQL', { query: "CREATE SECRET (TYPE s3, KEY_ID 'k', SECRET 'canary-16')" }, 'canary-16'],
];

it.each(places)('%s', (_, settings, canary) => {
  expect(JSON.stringify(withoutSecrets(settings))).not.toContain(canary);
  rememberSecrets(settings);
  const said = redacted(`a library says ${canary} and ${encodeURIComponent(canary)}`);
  expect(said).toBe('a library says (secret) and (secret)');
});

it('finds a secret in JSON, where its quotes and ends of lines are written otherwise', () => {
  const password = 'canary"19\n\\';
  rememberSecrets({ password });
  expect(redacted(JSON.stringify({ error: `wrong: ${password}!` }))).toBe('{"error":"wrong: (secret)!"}');
});

it('leaves no rest of a secret that begins with another', () => {
  rememberSecrets({ password: 'canary-20' });
  rememberSecrets([{ password: 'canary-20-and-more' }, { password: 'more-canary-20' }]);
  expect(redacted('canary-20-and-more, more-canary-20, canary-20')).toBe('(secret), (secret), (secret)');
});

it('takes the words of a table for data', () => {
  const settings = { fields: { op: { from: 'type', map: { login: 'canary-21', token: 'canary-22' } } } };
  expect(withoutSecrets(settings)).toEqual(settings);
  rememberSecrets(settings);
  expect(redacted('canary-21 and canary-22')).toBe('canary-21 and canary-22');
});

it('leaves the rest as it was', () => {
  const settings = {
    url: 'redis://host:6379',
    query: "SELECT 'a@b.c'",
    brokers: ['a:1', 'b:2'],
    n: 1,
    tokenFile: 't',
  };
  expect(withoutSecrets(settings)).toEqual(settings);
  expect(withoutSecrets({ url: 'redis://me:canary-17@host:1' })).toEqual({
    url: 'redis://me:(secret)@host:1',
  });
});

it('the command line says no secret of a variable, wherever it is put', async () => {
  const file = join(temporaryDirectory(), 'pipeline.yaml');
  const source = '{ type: duckdb, query: "SELECT 1 AS \\"user\\", 2 AS item" }';
  const canary = 'canary-18';
  for (const text of [
    `sources: [${source}]\nsinks: [{ type: redis, url: "redis://u:a@\${DB_PASSWORD}@127.0.0.1:1", timeoutMs: 300 }]`,
    `memory: "\${DB_PASSWORD}"`,
    `sources: [{ type: kafka, brokers: "u:\${DB_PASSWORD}@127.0.0.1:1", topics: [t] }]`,
    `sources: [{ type: duckdb, query: "SELECT * FROM nowhere('\${DB_PASSWORD}')" }]`,
  ]) {
    writeFileSync(file, text);
    for (const command of [['validate'], ['doctor'], ['ingest']]) {
      const { stdout, stderr } = await runCli([...command, '-c', file, '--json'], {
        env: { DB_PASSWORD: canary },
      });
      expect(stdout + stderr).not.toContain(canary);
    }
  }
});
