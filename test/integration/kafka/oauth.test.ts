/** OAUTHBEARER against a broker that takes unsigned tokens: one of the environment lets in, a bad one is one error. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { drain, json, makeTopic, produce, sourceOn } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const module = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule';
const properties = {
  'sasl.enabled.mechanisms': 'OAUTHBEARER',
  'listener.name.external.oauthbearer.sasl.jaas.config': `${module} required unsecuredLoginStringClaim_sub="broker";`,
};

const part = (claims: object): string => Buffer.from(JSON.stringify(claims)).toString('base64url');
/** An unsigned token that ends in so many seconds. */
function tokenFor(seconds: number): string {
  const now = Math.floor(Date.now() / 1000);
  return `${part({ alg: 'none' })}.${part({ sub: 'shop', iat: now - 3600, exp: now + seconds })}.`;
}

await withBroker('a broker that takes tokens', { protocol: 'SASL_PLAINTEXT', properties }, broker => {
  it('lets in who has a token, given directly or in a file', async () => {
    const topic = await makeTopic(broker());
    await produce(broker(), topic, [json({ user: 'u', item: 'i' })]);
    const tokenFile = join(temporaryDirectory(), 'token');
    writeFileSync(tokenFile, `${tokenFor(3600)}\n`);
    for (const given of [{ token: tokenFor(3600) }, { tokenFile }]) {
      const { rows } = await drain(
        sourceOn(broker(), [topic], { sasl: { mechanism: 'oauthbearer', ...given } }),
      );
      expect(rows.map(r => r.item)).toEqual(['i']);
    }
  });

  it.each([
    ['an expired token', () => tokenFor(-600)],
    ['no token of any kind', () => 'nonsense'],
  ])('refuses %s with one error', async (_, bad) => {
    const sasl = { mechanism: 'oauthbearer', token: bad() } as const;
    await expect(drain(sourceOn(broker(), ['any'], { sasl }))).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
      message: expect.stringMatching(/^source kafka: the broker refused the login \(.*\)$/),
    });
  });

  it('takes the token from the environment and never prints it', { timeout: 60_000 }, async () => {
    const topic = await makeTopic(broker());
    await produce(broker(), topic, [json({ user: 'u', item: 'i' })]);
    const home = temporaryDirectory();
    const access = {
      type: 'kafka',
      brokers: [...broker().brokers],
      sasl: { mechanism: 'oauthbearer', token: `\${KAFKA_TOKEN}` },
    };
    writeFileSync(
      join(home, 'pipeline.yaml'),
      stringify({ sources: [{ ...access, topics: [topic], group: topic }], log: { level: 'debug' } }),
    );
    const run = (token: string) =>
      runCli(['ingest', '-c', 'pipeline.yaml', '--json'], { cwd: home, env: { KAFKA_TOKEN: token } });
    const [good, bad] = [tokenFor(3600), tokenFor(-600)];
    const taken = await run(good);
    expect(taken.json()).toMatchObject({ events: 1 });
    const refused = await run(bad);
    expect(refused.code).toBe(1);
    expect(refused.stderr.split('\n').filter(line => /refused the login/.test(line))).toHaveLength(1);
    expect(refused.stderr).toMatch(/ACCESS_REFUSED/);
    for (const { stdout, stderr } of [taken, refused])
      for (const token of [good, bad]) expect(stdout + stderr).not.toContain(token);
  });
});
