/** `doctor` fails what the manual forbids, and says when there is nothing to do. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { missingOwn, skipped, startRedis } from '../../support/redis.js';

interface Findings {
  readonly ok: boolean;
  readonly findings: readonly { what: string; ok: boolean; found: string; remedy?: string }[];
}

/** What `doctor` and `validate` say of a configuration. */
async function look(yaml: string) {
  const cwd = temporaryDirectory();
  writeFileSync(join(cwd, 'p.yaml'), yaml);
  const [doctor, validate] = await Promise.all([
    runCli(['doctor', '-c', 'p.yaml', '--json'], { cwd }),
    runCli(['validate', '-c', 'p.yaml'], { cwd }),
  ]);
  const { ok, findings } = doctor.json<Findings>();
  return { ok, findings, said: (what: string) => findings.find(f => f.what === what), validate, doctor };
}

describe.skipIf(skipped(missingOwn))('a Redis sink', () => {
  it.each([
    ['noeviction', true],
    ['allkeys-lru', false],
    ['volatile-ttl', false],
  ])('with %s: %s', async (policy, ok) => {
    const server = await startRedis('--maxmemory-policy', policy);
    onTestFinished(() => server.remove());
    const { said } = await look(`sinks: [{ type: redis, url: "${server.url}" }]`);
    expect(said('sink redis')).toMatchObject({ ok: true, found: '0 versions, current none' });
    const eviction = said('sink redis: eviction');
    expect(eviction).toMatchObject({ ok, found: expect.stringContaining(policy) });
    expect(eviction!.remedy ?? '').toMatch(ok ? /^$/ : /set `maxmemory-policy noeviction`/);
  });
});

it.each<[string, boolean, RegExp]>([
  ['{}', false, /nothing to do: no source brings events, and no sink takes lists/],
  ['sinks: [{ type: files, path: feeds }]', true, /no source brings events/],
  [`sources: [{ type: duckdb, query: "SELECT 1 AS user, 2 AS item" }]`, true, /no sink takes lists/],
])('says what is missing in %s', async (yaml, ok, message) => {
  const found = await look(yaml);
  expect(found.said('work')).toMatchObject({ ok, found: expect.stringMatching(message) });
  expect([found.ok, found.doctor.code]).toEqual([ok, ok ? 0 : 1]);
  expect(found.validate.stdout).toMatch(message);
});
