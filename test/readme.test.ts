/** The manual says what the benchmarks wrote, what the configuration accepts and what errors say. */
import { existsSync, readFileSync } from 'node:fs';

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { connectionOptions } from '#connectors/kafka/options.js';
import { signalSources, sinks, sources } from '#connectors/registry.js';
import { pipelineOptions } from '#jobs/config.js';

import { errorCodes, StageError } from '#src/errors.js';
import { optional, quoted, type Results, withFigures } from './bench/table.js';
import { blocksOf, root, textOf } from './support/manual.js';

const result = (name: string): unknown =>
  JSON.parse(readFileSync(join(root, `test/bench/results/${name}.json`), 'utf8'));

it('quotes the figures of the written results', () => {
  const some = optional.filter(name => existsSync(join(root, `test/bench/results/${name}.json`)));
  const results = Object.fromEntries(
    [...quoted, ...some].map(name => [name, result(name)]),
  ) as unknown as Results;
  const page = textOf('test/bench/README.md');
  expect(page).toContain('<!-- figures -->');
  expect(page).toBe(withFigures(page, results));
});

/** The YAML blocks of a page. Settings that are off by default are top-level comments; they count too. */
const settingsOn = (page: string): string[] =>
  blocksOf(page)
    .filter(({ language, code }) => language === 'yaml' && /^(sources|sinks|signals|state):/m.test(code))
    .map(({ code }) => code.replace(/^# (?=\w+:)/gm, ''));
const configuration = settingsOn('jobs/README.md')[0]!;
const settingsPages = [
  'jobs',
  'connectors/kafka',
  'connectors/duckdb',
  'connectors/ndjson',
  'connectors/push',
  'connectors/redis',
  'connectors/lmdb',
  'connectors/files',
];

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

it.each(settingsPages)('%s shows settings as the schemas have them, with their defaults', name => {
  let compared = 0;
  for (const block of settingsOn(`${name}/README.md`)) {
    const shown = pipelineOptions.parse(parse(block));
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
  }
  expect(compared).toBeGreaterThan(3);
});

it('shows every setting of the stage', () => {
  // What follows a top-level key, up to the next one.
  const blocks = new Map(
    configuration.split(/^(?=\w+:)/m).map(text => [text.slice(0, text.indexOf(':')), text]),
  );
  const systems = ['sources', 'sinks', 'signals'];
  for (const [key, schema] of Object.entries(pipelineOptions.shape)) {
    expect(blocks.has(key), key).toBe(true);
    const names = systems.includes(key) ? [] : namesIn(schema);
    for (const name of names) expect(blocks.get(key), `${key}: ${name}`).toMatch(new RegExp(`\\b${name}\\b`));
  }
});

const kinds = Object.entries({ sources, sinks, signals: signalSources }).flatMap(([place, all]) =>
  all.map(({ options: { shape } }) => ({ place, type: shape.type.def.values[0]!, keys: Object.keys(shape) })),
);

it.each(kinds)('shows every setting of $place of type $type', ({ place, type, keys }) => {
  const blocks = settingsOn(`connectors/${type}/README.md`).filter(b =>
    new RegExp(`^${place}:`, 'm').test(b),
  );
  // Connections of Kafka are shown with the source.
  const elsewhere = place === 'sources' ? [] : Object.keys(connectionOptions);
  for (const key of keys.filter(k => !elsewhere.includes(k)))
    expect(blocks.join('\n'), key).toMatch(new RegExp(`\\b${key}: `));
});

it('says what to do about every error', () => {
  const page = textOf('jobs/README.md');
  for (const code of errorCodes) expect(page).toContain(`| \`${code}\` | ${new StageError(code, '').remedy}`);
});
