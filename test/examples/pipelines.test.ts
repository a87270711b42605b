/** Configurations of other tools: read here, and checked by each tool that this machine has. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

const folder = join(import.meta.dirname, '../../examples/pipelines');
const textOf = (name: string): string => readFileSync(join(folder, name), 'utf8');
const has = (program: string): boolean =>
  spawnSync(program, ['--version'], { stdio: 'ignore', timeout: 20_000 }).error === undefined;
const env = { ...process.env, STAGE_TOKEN: 'a token of this test' };

it('Redpanda Connect sends lines to /events, and again what is not taken', () => {
  const { output } = parse(textOf('redpanda-connect.yaml'));
  const { url, headers, backoff_on, successful_on } = output.http_client;
  expect(url).toMatch(/\/events$/);
  expect(headers['Content-Type']).toBe('application/x-ndjson');
  expect([backoff_on, successful_on]).toEqual([[429, 503], [202]]);
  if (has('benthos')) execFileSync('benthos', ['lint', join(folder, 'redpanda-connect.yaml')], { env });
});

it('Vector sends lines to /events', () => {
  const { sinks } = parse(textOf('vector.yaml'));
  expect(sinks.stage.uri).toMatch(/\/events$/);
  expect(sinks.stage.framing.method).toBe('newline_delimited');
  expect(sinks.stage.encoding.codec).toBe('json');
  if (has('vector'))
    execFileSync('vector', ['validate', '--no-environment', join(folder, 'vector.yaml')], { env });
});

it('dbt asks for a refit in the columns of the table of signals', () => {
  const project = parse(textOf('dbt/dbt_project.yml'));
  expect(project['on-run-start'][0]).toMatch(
    /signals \(id VARCHAR, type VARCHAR, options VARCHAR, requested_at/,
  );
  expect(project['on-run-end'][0]).toMatch(/INSERT INTO signals VALUES \('dbt-.*', 'refit', NULL, /);
  expect(parse(textOf('dbt/profiles.yml'))[project.profile].outputs.warehouse.type).toBe('duckdb');
});

it('Airflow has a DAG that Python reads, over routes that there are', () => {
  const code = textOf('airflow_dag.py');
  execFileSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], { input: code });
  const routes = [...code.matchAll(/"\/api\/v1\/(\w+)"/g)].map(m => m[1]);
  expect(routes).toEqual(['fold', 'refit']);
});
