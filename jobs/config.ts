import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type * as Cron from 'node-cron';
import type * as Yaml from 'yaml';
import { z } from 'zod';
import { databaseOptions } from '../connectors/duckdb/database.js';
import { semanticsOptions } from '../connectors/duckdb/schema.js';
import { signalOptions, sinkOptions, sourceOptions } from '../connectors/registry.js';
import { StageError } from '../src/errors.js';
import { gateOptions } from '../src/evaluate/gate.js';
import { required } from '../src/runtime/require.js';
import { stageOptions } from '../src/stages/options.js';
import { tuneOptions } from '../src/tune/tune.js';
import { withoutSecrets } from './secrets.js';

const cronExpression = z.string().refine(e => (required('node-cron') as typeof Cron).validate(e), {
  error: 'expected a cron expression such as "*/5 * * * *"',
});

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
  tune: tuneOptions.extend({ cron: cronExpression.optional() }).prefault({}),
  fresh: z
    .strictObject({
      cron: cronExpression.optional(),
      follow: z.boolean().default(false).describe('after each fold, and fold as soon as events wait'),
    })
    .prefault({})
    .describe('when lists of users whose histories changed are rewritten'),
});

/** The configuration of a pipeline: one YAML file, or an object in the library. */
export const pipelineOptions = stageOptions.extend({
  state: z.string().min(1).default('./state').describe('state directory'),
  semantics: semanticsOptions.prefault({}),
  database: databaseOptions.prefault({}),
  sources: z
    .array(sourceOptions)
    .superRefine((sources, context) => {
      const names = sources.map(s => s.name);
      names.forEach((name, k) => {
        if (names.indexOf(name) === k) return;
        const message = `expected a name of its own, found ${JSON.stringify(name)} as in sources.${names.indexOf(name)}`;
        context.addIssue({ code: 'custom', path: [k, 'name'], message });
      });
    })
    .default([]),
  sinks: z.array(sinkOptions).default([]),
  models: z
    .strictObject({
      keep: z.int().min(1).default(10).describe('newest models kept beside those that are published'),
    })
    .prefault({}),
  signals: signalOptions.optional(),
  schedule: scheduleOptions.prefault({}),
  gate: gateOptions.optional(),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});
export type PipelineOptions = z.input<typeof pipelineOptions>;
export type PipelineConfig = z.output<typeof pipelineOptions>;

/**
 * Replaces `${VAR}` and `${VAR:default}` in every string; `replaced` gets the paths of those strings. A variable
 * that is unset and has no default is an error.
 */
export function interpolate(
  value: unknown,
  env: NodeJS.ProcessEnv,
  replaced: Set<string>,
  file: string,
  path: readonly PropertyKey[] = [],
): unknown {
  const inside = (v: unknown, key: PropertyKey) => interpolate(v, env, replaced, file, [...path, key]);
  if (typeof value === 'string') {
    const text = value.replace(/\$\{([A-Za-z_]\w*)(?::([^}]*))?\}/g, (_, name: string, fallback?: string) => {
      const found = env[name] ?? fallback;
      if (found === undefined) {
        throw new StageError(
          'CONFIG_INVALID',
          `${file}: ${shownPath(path)}: variable ${name} is not set; set it or write \${${name}:default}`,
        );
      }
      replaced.add(shownPath(path));
      return found;
    });
    return text;
  }
  if (Array.isArray(value)) return value.map(inside);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, inside(v, k)]));
  }
  return value;
}

const shownPath = (path: readonly PropertyKey[]): string => path.map(String).join('.') || '(top level)';

/** `text` as the number or the boolean that a schema expects, if it reads as one. */
function reread(text: string, expected: string): number | boolean | undefined {
  if (expected === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  const number = text.trim() === '' ? Number.NaN : Number(text);
  return ['number', 'int'].includes(expected) && Number.isFinite(number) ? number : undefined;
}

/**
 * A variable's text becomes a number or a boolean where the schema expects one, and stays text where it does
 * not (a directory may be called 2024). Changes `input`; returns whether there was such a place.
 */
function rereadVariables(input: unknown, issues: readonly z.core.$ZodIssue[], replaced: ReadonlySet<string>) {
  let changed = false;
  for (const issue of issues) {
    if (issue.code !== 'invalid_type' || !replaced.has(shownPath(issue.path))) continue;
    const value = reread(String(at(input, issue.path)), issue.expected);
    if (value === undefined) continue;
    const parent = at(input, issue.path.slice(0, -1)) as Record<PropertyKey, unknown>;
    parent[issue.path.at(-1)!] = value;
    changed = true;
  }
  return changed;
}

function at(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path)
    value =
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  return value;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(withoutSecrets(value));
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** The object schema that takes the value at `path`, through defaults, arrays and unions told apart by a key. */
function objectAt(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
  input: unknown,
): z.ZodObject | undefined {
  const def: object = schema._zod.def;
  const inside = (next: unknown) => objectAt(next as z.core.$ZodType, path, input);
  if (schema instanceof z.ZodObject) {
    const [key, ...rest] = path;
    if (key === undefined) return schema;
    const next = schema.shape[String(key)];
    return next && objectAt(next, rest, at(input, [key]));
  }
  if (schema instanceof z.ZodArray)
    return objectAt(schema.element, path.slice(1), at(input, path.slice(0, 1)));
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const key = schema.def.discriminator;
    const options = schema.options as readonly z.ZodObject[];
    return inside(options.find(o => o.shape[key]?.safeParse(at(input, [key])).success) ?? options[0]);
  }
  if (schema instanceof z.ZodPipe)
    return inside(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in);
  return 'innerType' in def ? inside(def.innerType) : undefined;
}

/** One line for each mistake: the path, what is accepted, what was found. */
function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, input: unknown): string {
  const path = shownPath(issue.path);
  const value = withoutSecrets(at(input, issue.path), String(issue.path.at(-1)));
  const found = `found ${shown(value)}`;
  switch (issue.code) {
    case 'unrecognized_keys': {
      const accepted = Object.keys(objectAt(schema, issue.path, input)?.shape ?? {}).join(', ');
      return `${path}: expected only ${accepted}, found ${issue.keys.map(k => JSON.stringify(k)).join(', ')}`;
    }
    case 'invalid_value':
      return `${path}: expected one of ${issue.values.map(shown).join(', ')}, ${found}`;
    case 'invalid_type':
      return `${path}: expected ${kinds[issue.expected] ?? issue.expected}, ${found}`;
    case 'custom':
      return `${path}: ${issue.message}${issue.message.includes('found') ? '' : `, ${found}`}`;
    case 'invalid_union': {
      const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(shown) : [];
      return `${path}: expected one of ${options.join(', ')}, ${found}`;
    }
    default:
      return `${path}: ${issue.message.replace(/^Too (small|big): /, '').replace(/^Invalid input: /, '')}, ${found}`;
  }
}

/** What people call the types of a schema. */
const kinds: Readonly<Record<string, string>> = {
  object: 'settings (key: value)',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

/**
 * Validates settings against a schema; `CONFIG_INVALID` lists every mistake, one a line. `replaced` are the
 * paths of `input` whose text came from variables.
 */
export function checked<S extends z.ZodType>(
  schema: S,
  input: unknown,
  where: string,
  replaced: ReadonlySet<string> = new Set(),
): z.output<S> {
  let result = schema.safeParse(input, { reportInput: true });
  if (!result.success && rereadVariables(input, result.error.issues, replaced))
    result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  const lines = result.error.issues.map(issue => `${where}: ${describeIssue(issue, schema, input)}`);
  throw new StageError('CONFIG_INVALID', lines.join('\n'));
}

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
  const replaced = new Set<string>();
  const input = interpolate(parseYaml(text, file) ?? {}, env, replaced, file);
  return { config: checked(pipelineOptions, input, file, replaced), baseDirectory: dirname(resolve(file)) };
}

function parseYaml(text: string, file: string): unknown {
  const problem = (message: string) =>
    new StageError(
      'CONFIG_INVALID',
      `${file}: expected YAML, found: ${message.split('\n')[0]!.replace(/:$/, '')}`,
    );
  const { parseDocument } = required('yaml') as typeof Yaml;
  const document = parseDocument(text, { logLevel: 'error' });
  if (document.errors[0]) throw problem(document.errors[0].message);
  try {
    return document.toJS();
  } catch (error) {
    throw problem((error as Error).message);
  }
}
