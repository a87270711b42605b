import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import cron from 'node-cron';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { databaseOptions } from '../connectors/duckdb/database.js';
import { semanticsOptions } from '../connectors/duckdb/schema.js';
import { signalOptions, sinkOptions, sourceOptions } from '../connectors/registry.js';
import { StageError } from '../src/errors.js';
import { stageOptions } from '../src/options.js';

const cronExpression = z
  .string()
  .refine(e => cron.validate(e), { error: 'expected a cron expression such as "*/5 * * * *"' });

const timezone = z.string().refine(
  zone => {
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone });
      return true;
    } catch {
      return false;
    }
  },
  { error: 'expected an IANA time zone such as Europe/London' },
);

/** When the jobs of `run` are due: by the clock, by the number of events, or both. */
export const scheduleOptions = z.strictObject({
  timezone: timezone.default('UTC').describe('time zone of the cron expressions'),
  pollMs: z.int().min(10).default(1000).describe('pause after a source had nothing new, in milliseconds'),
  fold: z
    .strictObject({
      cron: cronExpression.default('* * * * *'),
      events: z.int().min(1).default(100_000).describe('fold when so many events wait'),
    })
    .prefault({}),
  refit: z
    .strictObject({
      cron: cronExpression.optional(),
      events: z
        .int()
        .min(1)
        .optional()
        .describe('refit when so many events were folded since the newest model'),
      publish: z.boolean().default(true).describe('publish each new model to the sinks'),
    })
    .prefault({}),
  publish: z.strictObject({ cron: cronExpression.optional() }).prefault({}),
});

/** The configuration of a pipeline: one YAML file, or an object in the library. */
export const pipelineOptions = stageOptions.extend({
  state: z.string().min(1).default('./state').describe('state directory'),
  semantics: semanticsOptions.prefault({}),
  database: databaseOptions.prefault({}),
  sources: z.array(sourceOptions).default([]),
  sinks: z.array(sinkOptions).default([]),
  signals: signalOptions.optional(),
  schedule: scheduleOptions.prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});
export type PipelineOptions = z.input<typeof pipelineOptions>;
export type PipelineConfig = z.output<typeof pipelineOptions>;

/** Replaces `${VAR}` and `${VAR:default}` in every string. A variable that is unset and has no default is an error. */
export function interpolate(
  value: unknown,
  env: NodeJS.ProcessEnv,
  path: readonly (string | number)[] = [],
): unknown {
  if (typeof value === 'string') {
    const whole = /^\$\{([A-Za-z_]\w*)(?::([^}]*))?\}$/.test(value);
    const text = value.replace(/\$\{([A-Za-z_]\w*)(?::([^}]*))?\}/g, (_, name: string, fallback?: string) => {
      const found = env[name] ?? fallback;
      if (found === undefined) {
        throw new StageError(
          'CONFIG_INVALID',
          `${path.join('.')}: variable ${name} is not set; set it or write \${${name}:default}`,
        );
      }
      return found;
    });
    // A value that is one variable may be a number or a boolean.
    if (whole && /^(-?\d+(\.\d+)?(e[+-]?\d+)?|true|false)$/i.test(text))
      return JSON.parse(text.toLowerCase());
    return text;
  }
  if (Array.isArray(value)) return value.map((v, k) => interpolate(v, env, [...path, k]));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, interpolate(v, env, [...path, k])]));
  }
  return value;
}

function at(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path)
    value =
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  return value;
}

const shown = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));

/** One line for each mistake: the path, what is accepted, what was found. */
function describeIssue(issue: z.core.$ZodIssue, input: unknown): string {
  const path = issue.path.map(String).join('.') || '(top level)';
  switch (issue.code) {
    case 'unrecognized_keys':
      return `${path}: unknown setting ${issue.keys.map(k => JSON.stringify(k)).join(', ')}`;
    case 'invalid_value':
      return `${path}: expected one of ${issue.values.map(shown).join(', ')}, found ${shown(at(input, issue.path))}`;
    case 'invalid_type':
      return `${path}: expected ${issue.expected}, found ${shown(at(input, issue.path))}`;
    case 'invalid_union': {
      const options =
        'options' in issue && Array.isArray(issue.options) ? ` (${issue.options.map(shown).join(', ')})` : '';
      return `${path}: expected a known type${options}, found ${shown(at(input, issue.path))}`;
    }
    default:
      return `${path}: ${issue.message.replace(/^Too (small|big): /, '').replace(/^Invalid input: /, '')}, found ${shown(at(input, issue.path))}`;
  }
}

/** Validates settings against a schema; `CONFIG_INVALID` lists every mistake, one a line. */
export function checked<S extends z.ZodType>(schema: S, input: unknown, where: string): z.output<S> {
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  const lines = result.error.issues.map(issue => `${where}: ${describeIssue(issue, input)}`);
  throw new StageError('CONFIG_INVALID', lines.join('\n'));
}

/** Accepted values of a key, for the message about a key that does not exist. */
export const acceptedKeys = (schema: z.ZodObject): string => Object.keys(schema.shape).join(', ');

/** A configuration with the directory that its relative paths start from. */
export interface LoadedConfig {
  readonly config: PipelineConfig;
  readonly baseDirectory: string;
}

/** Reads and validates a YAML configuration. `CONFIG_INVALID` names the file, the path and what is accepted. */
export function loadConfig(file: string, env: NodeJS.ProcessEnv = process.env): LoadedConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new StageError(
      'CONFIG_INVALID',
      `${file}: expected a readable file (${(cause as NodeJS.ErrnoException).code})`,
    );
  }
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem) throw new StageError('CONFIG_INVALID', `${file}: ${problem.message.split('\n')[0]}`);
  const input = interpolate(document.toJS() ?? {}, env);
  const config = checked(pipelineOptions, input, file);
  const names = config.sources.map(s => s.name);
  const twice = names.find((n, k) => names.indexOf(n) !== k);
  if (twice)
    throw new StageError(
      'CONFIG_INVALID',
      `${file}: sources: expected different names, found ${twice} twice`,
    );
  return { config, baseDirectory: dirname(resolve(file)) };
}
