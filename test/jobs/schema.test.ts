/** The JSON Schema for editors says what the stage accepts. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { configSchema, configSchemaFile } from '#jobs/schema.js';

const shipped = JSON.parse(readFileSync(configSchemaFile, 'utf8'));
const variable = (name: string): string => `\${${name}}`;
const accepts = (config: unknown): boolean => z.fromJSONSchema(shipped).safeParse(config).success;

it('is shipped as the schemas have it', () => {
  expect(shipped).toEqual(JSON.parse(JSON.stringify(configSchema())));
  expect(shipped.properties.schedule.properties.pollMs.description).toMatch(/milliseconds/);
});

it.each<[unknown, boolean]>([
  [{}, true],
  [{ memory: '512MiB', threads: 2, sinks: [{ type: 'redis', url: 'redis://127.0.0.1' }] }, true],
  [{ threads: variable('CORES:4'), sinks: [{ type: 'redis', url: variable('REDIS_URL') }] }, true],
  [{ threads: 'four' }, false],
  [{ sinks: [{ type: 'redis', url: 'http://127.0.0.1' }] }, false],
  [{ sinks: [{ type: 'redis', url: 'redis://127.0.0.1', path: 'x' }] }, false],
  [{ schedule: { refit: { corn: '* * * * *' } } }, false],
])('%j: %s', (config, accepted) => {
  expect(accepts(config)).toBe(accepted);
});

it('does not depend on the machine', () => {
  expect(shipped.properties.threads).not.toHaveProperty('default');
});
