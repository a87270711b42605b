import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type * as Yaml from 'yaml';
import { z } from 'zod';
import { StageError } from '../src/errors.js';
import { required } from '../src/runtime/require.js';
import { checked, shownPath } from './checked.js';
import { jobs } from './kinds/index.js';
import { rememberSecrets, rememberVariable } from './secrets.js';
import { settings } from './settings.js';

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

type Jobs = typeof jobs;
/** The schemas of the jobs that have settings. */
type Schedules = {
  readonly [N in keyof Jobs as z.ZodType extends NonNullable<Jobs[N]['schedule']> ? never : N]: NonNullable<
    Jobs[N]['schedule']
  >;
};
const schedules = Object.fromEntries(
  Object.values(jobs).flatMap(({ name, schedule }) => (schedule ? [[name, schedule]] : [])),
) as unknown as Schedules;

/** When the jobs of `run` are due: by the clock, by the number of events, or both. */
export const scheduleOptions = z.strictObject({
  timezone: timezone.default('UTC').describe('time zone of the cron expressions'),
  pollMs: z.int().min(10).default(1000).describe('pause after a source had nothing new, in milliseconds'),
  ...schedules,
});

/** The configuration of a pipeline: one YAML file, or an object in the library. */
export const pipelineOptions = settings.extend({
  schedule: scheduleOptions.prefault({}),
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
      rememberVariable(name, found);
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
  rememberSecrets(input);
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
    const value: unknown = document.toJS();
    JSON.stringify(value); // throws where an alias lies in what it stands for
    return value;
  } catch (error) {
    const { message } = error as Error;
    throw problem(/circular/.test(message) ? 'an alias of a value that contains it' : message);
  }
}
