/** A configuration file before it is checked. Commands to a running stage read no more than this, so it loads no schema. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type * as Yaml from 'yaml';
import { StageError } from '../src/errors.js';
import { required } from '../src/runtime/require.js';
import { rememberVariable } from './secrets.js';

/** A path as `a.b.0`. */
export const shownPath = (path: readonly PropertyKey[]): string =>
  path.map(String).join('.') || '(top level)';

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
      rememberVariable(name, found, path.includes('setup'));
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

/** The value of a YAML file. `CONFIG_INVALID` names the file and what is wrong with it. */
export function readYaml(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new StageError(
      'CONFIG_INVALID',
      `${file}: expected a readable file (${(cause as NodeJS.ErrnoException).code})`,
    );
  }
  return parseYaml(text, file);
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

/** The state directory that a configuration names, whatever else it says; `undefined` where that cannot be read. */
export function stateDirectoryOf(file: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  try {
    const { state = defaultState } = (readYaml(file) ?? {}) as { readonly state?: unknown };
    const named = interpolate(state, env, new Set(), file, ['state']);
    return typeof named === 'string' ? resolve(dirname(resolve(file)), named) : undefined;
  } catch {
    return undefined;
  }
}

/** The state directory of a configuration that names none. */
export const defaultState = './state';
