/** The README says what the benchmarks wrote and what the configuration and the CLI accept. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { connectionOptions } from '#connectors/kafka/options.js';
import { kafkaSignalOptions } from '#connectors/kafka/signal-options.js';
import { kafkaSinkOptions } from '#connectors/kafka/sink-options.js';
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

it('shows every setting of what goes into Kafka', () => {
  const section = readme.slice(readme.indexOf('## Models and lists in Kafka'), readme.indexOf('## Commands'));
  const keys = [...Object.keys(kafkaSinkOptions.shape), ...Object.keys(kafkaSignalOptions.shape)];
  // `maxBytes` is a setting of all sinks, and connections are shown with the source.
  const elsewhere = [...Object.keys(connectionOptions), 'maxBytes'];
  for (const key of keys.filter(k => !elsewhere.includes(k)))
    expect(section, key).toMatch(new RegExp(`\\b${key}: `));
});
