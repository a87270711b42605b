/** The README says what the benchmarks wrote and what the configuration and the CLI accept. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pipelineOptions } from '#jobs/config.js';
import { quoted, type Results, withFigures } from './bench/table.js';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const result = (name: string): unknown =>
  JSON.parse(readFileSync(join(root, `test/bench/results/${name}.json`), 'utf8'));

it('quotes the figures of the written results', () => {
  const results = Object.fromEntries(quoted.map(name => [name, result(name)])) as unknown as Results;
  expect(readme).toContain('<!-- figures -->');
  expect(readme).toBe(withFigures(readme, results));
});

it('shows every top-level setting', () => {
  for (const key of Object.keys(pipelineOptions.shape)) {
    expect(readme, key).toMatch(new RegExp(`^(# )?${key}:`, 'm'));
  }
});
