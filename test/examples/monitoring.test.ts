/** The alerts fire and clear as their tests say, if promtool is there to run them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const folder = join(import.meta.dirname, '../../examples/monitoring');
const missing = spawnSync('promtool', ['--version']).status !== 0;

it.skipIf(missing)('passes the tests of its rules', () => {
  const tests = readdirSync(folder).filter(name => name.endsWith('-test.yaml'));
  expect(tests).toHaveLength(2);
  const said = execFileSync('promtool', ['test', 'rules', ...tests], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(said).toMatch(/SUCCESS[\s\S]*SUCCESS/);
});
