/** The alerts fire and clear as their tests say, if promtool is there to run them. */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { monitoring, skipped, testRules } from '../support/promtool.js';

it.skipIf(skipped())('passes the tests of its rules', () => {
  const tests = readdirSync(monitoring).filter(name => name.endsWith('-test.yaml'));
  expect(tests).toHaveLength(2);
  expect(testRules(monitoring, ...tests)).toMatch(/SUCCESS[\s\S]*SUCCESS/);
});
