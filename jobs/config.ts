import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { checked } from './checked.js';
import { interpolate, readYaml } from './config-file.js';
import { httpOptions } from './http/options.js';
import { jobs } from './kinds/index.js';
import { rememberSecrets } from './secrets.js';
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
export const pipelineOptions = settings
  .extend({
    schedule: scheduleOptions.prefault({}),
    http: httpOptions.optional(),
    log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
  })
  .superRefine(({ sources, http }, context) => {
    const k = sources.findIndex(s => s.type === 'push');
    const push = sources[k];
    if (push?.type !== 'push' || (http && (http.token ?? push.token) !== undefined)) return;
    const message = http
      ? 'expected a token here or in `http`, found none: nobody could send events'
      : 'expected `http`, by which events are sent, found none';
    context.addIssue({ code: 'custom', path: ['sources', k, ...(http ? ['token'] : [])], message });
  })
  .superRefine(({ semantics: { window, halfLife }, sources, publish }, context) => {
    if (window === undefined && halfLife === undefined) return;
    sources.forEach((source, k) => {
      if (source.timeUnit !== 'counter') return;
      const message =
        'expected times, by which events grow old (semantics.window, halfLife), found "counter"';
      context.addIssue({ code: 'custom', path: ['sources', k, 'timeUnit'], message });
    });
    if (halfLife === undefined || publish.rules.minimumScore === undefined) return;
    const message = 'expected none with semantics.halfLife, under which scores change with the age of events';
    context.addIssue({ code: 'custom', path: ['publish', 'rules', 'minimumScore'], message });
  });
export type PipelineOptions = z.input<typeof pipelineOptions>;
export type PipelineConfig = z.output<typeof pipelineOptions>;

/** A configuration with the directory that its relative paths start from. */
export interface LoadedConfig {
  readonly config: PipelineConfig;
  readonly baseDirectory: string;
  /** Where it came from, and the paths whose text came from variables, until the modules it names have been checked. */
  readonly origin?: { readonly where: string; readonly replaced: ReadonlySet<string> } | undefined;
}

/**
 * Reads and validates a YAML configuration. `CONFIG_INVALID` names the file, the path and what is accepted. What it says to
 * modules of its own is checked when the pipeline is opened.
 */
export function loadConfig(file: string, env: NodeJS.ProcessEnv = process.env): LoadedConfig {
  const replaced = new Set<string>();
  const input = interpolate(readYaml(file) ?? {}, env, replaced, file);
  rememberSecrets(input);
  const config = checked(pipelineOptions, input, file, replaced);
  return { config, baseDirectory: dirname(resolve(file)), origin: { where: file, replaced } };
}
