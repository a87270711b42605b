/** A benchmark without a program it needs says so in one sentence. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = (name: string): string => fileURLToPath(new URL(`../dist/test/${name}`, import.meta.url));

it.each([
  ['bench/bench.js', ['exact'], /^gcc: expected this program, found none; install it \(Debian: gcc\)\n$/],
  ['bench/bench.js', ['publish', '--sink', 'redis', '--users', '9'], /^redis-server: .* REDIS_URL\n$/],
  ['bench/bench.js', ['kafka'], /^USAGE: no Kafka: .*\n$/],
  ['chaos/chaos.js', ['crash', '--kills', '1'], /^USAGE: crash compiles shim\.c, .*\n$/],
])('%s %s', (name, args, said) => {
  const { REDIS_URL: _redis, KAFKA_BROKERS: _kafka, SANSA_PYTHON: _python, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, [script(name), ...args], {
    encoding: 'utf8',
    env: { ...env, PATH: '' },
  });
  expect(stderr).toMatch(said);
  expect(status).toBeGreaterThan(0);
});
