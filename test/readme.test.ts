/** The README says what the benchmarks wrote and what the configuration and the CLI accept. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { connectionOptions } from '#connectors/kafka/options.js';
import { kafkaSignalOptions } from '#connectors/kafka/signal-options.js';
import { kafkaSinkOptions } from '#connectors/kafka/sink-options.js';
import { pipelineOptions } from '#jobs/config.js';
import { optional, quoted, type Results, withFigures } from './bench/table.js';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const result = (name: string): unknown =>
  JSON.parse(readFileSync(join(root, `test/bench/results/${name}.json`), 'utf8'));

it('quotes the figures of the written results', () => {
  const some = optional.filter(name => existsSync(join(root, `test/bench/results/${name}.json`)));
  const results = Object.fromEntries(
    [...quoted, ...some].map(name => [name, result(name)]),
  ) as unknown as Results;
  expect(readme).toContain('<!-- figures -->');
  expect(readme).toBe(withFigures(readme, results));
});

/** The YAML of a section's first block. Settings that are off by default are top-level comments; they count too. */
const blockOf = (title: string): string =>
  /```yaml\n(.*?)```/s
    .exec(readme.slice(readme.indexOf(`\n## ${title}\n`)))![1]!
    .replace(/^# (?=\w+:)/gm, '');

/** The schema inside its defaults, options and transformations. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe)
    return bare(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in);
  const { def } = schema._zod;
  return 'innerType' in def ? bare(def.innerType as z.core.$ZodType) : schema;
}

/** Names of all settings within a schema, of every member of a union. */
function namesIn(schema: z.core.$ZodType): string[] {
  const inner = bare(schema);
  if (inner instanceof z.ZodObject)
    return Object.entries(inner.shape).flatMap(([name, next]) => [name, ...namesIn(next)]);
  if (inner instanceof z.ZodUnion) return inner.options.flatMap(namesIn);
  return [];
}

/** Paths of all values that are no maps or lists of maps. */
function leaves(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (Array.isArray(value) && typeof value[0] === 'object')
    return value.flatMap((inner, k) => leaves(inner, [...path, k]));
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
  return [path];
}

type Settings = Record<string | number, unknown>;
const at = (value: unknown, path: readonly (string | number)[]): unknown =>
  path.reduce((inner, key) => (inner as Settings | undefined)?.[key], value);

it.each(['Configuration', 'Kafka', 'Models and lists in Kafka'])(
  'shows settings under %s as the schemas have them, with their defaults',
  title => {
    const block = blockOf(title);
    const shown = pipelineOptions.parse(parse(block));
    let compared = 0;
    for (const path of leaves(parse(block))) {
      const rest = parse(block) as Settings;
      delete (at(rest, path.slice(0, -1)) as Settings)[path.at(-1)!];
      const parsed = pipelineOptions.safeParse(rest);
      // Without it the settings are refused, or it has no default.
      const fallback = parsed.success ? at(parsed.data, path) : undefined;
      if (fallback === undefined || path.join() === 'threads') continue;
      compared++;
      expect(at(shown, path), path.join('.')).toEqual(fallback);
    }
    expect(compared).toBeGreaterThan(9);
  },
);

it('shows every setting of the stage', () => {
  // What follows a top-level key, up to the next one.
  const blocks = new Map(
    blockOf('Configuration')
      .split(/^(?=\w+:)/m)
      .map(text => [text.slice(0, text.indexOf(':')), text]),
  );
  const systems = ['sources', 'sinks', 'signals'];
  for (const [key, schema] of Object.entries(pipelineOptions.shape)) {
    expect(blocks.has(key), key).toBe(true);
    const names = systems.includes(key) ? [] : namesIn(schema);
    for (const name of names) expect(blocks.get(key), `${key}: ${name}`).toMatch(new RegExp(`\\b${name}\\b`));
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
