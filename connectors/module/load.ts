import { createRequire } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Connector, ConnectorContext, ConnectorKinds } from '../../src/contracts/connector.js';
import type { Finding } from '../../src/contracts/finding.js';
import { StageError } from '../../src/errors.js';
import { ampleBytes, type ModuleOptions } from './options.js';

const isPath = (specifier: string): boolean => /^\.{1,2}[\\/]/.test(specifier) || isAbsolute(specifier);

/** How long a module may take until it is loaded, and to close what it made, in milliseconds. */
const loadMs = 30_000;
const closeMs = 10_000;

/** Waits for `work`, up to `ms`; then `late` is thrown. */
async function within<T>(work: Promise<T> | T, ms: number, late: () => StageError): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
  }
}

/** The URL of a module; of a package as the configuration's directory finds it, else as this package does. */
function urlOf(specifier: string, baseDirectory: string): string {
  if (isPath(specifier)) return pathToFileURL(resolve(baseDirectory, specifier)).href;
  try {
    return pathToFileURL(createRequire(join(resolve(baseDirectory), 'pipeline.yaml')).resolve(specifier))
      .href;
  } catch {
    return specifier;
  }
}

/** What a module exports by default, if it is a connector of a kind; `CONFIG_INVALID` says what is there instead, and `where` it is named. */
export async function loadConnector<K extends keyof ConnectorKinds>(
  kind: K,
  specifier: string,
  baseDirectory: string,
  where = 'configuration',
): Promise<Connector<K>> {
  const wrong = (found: string, cause?: unknown): StageError =>
    new StageError('CONFIG_INVALID', `${where}.module: expected a ${kind} in ${specifier}, found ${found}`, {
      cause,
    });
  let exported: Partial<Connector<K>> | undefined;
  try {
    const late = () => wrong(`one that was not loaded within ${loadMs / 1000} s`);
    const loaded = import(urlOf(specifier, baseDirectory)) as Promise<{ default?: Connector<K> }>;
    ({ default: exported } = await within(loaded, loadMs, late));
  } catch (error) {
    if (error instanceof StageError) throw error;
    throw wrong(`none: ${(error as Error).message.split('\n', 1)[0]}`, error);
  }
  if (typeof exported !== 'object' || exported === null) throw wrong('no default export of that kind');
  if (exported.kind !== kind) throw wrong(`kind ${JSON.stringify(exported.kind)}`);
  if (typeof exported.options?.safeParse !== 'function') throw wrong('no `options` of zod');
  if (typeof exported.create !== 'function') throw wrong('no function `create`');
  return exported as Connector<K>;
}

/** The options of the module itself, and those that this package reads. */
export function divided(kind: keyof ConnectorKinds, options: ModuleOptions): { own: object; given: object } {
  const names = ['type', 'module', 'name', ...(kind === 'signals' ? ['pollMs'] : [])];
  const isGiven = ([name]: [string, unknown]): boolean => names.includes(name);
  const all = Object.entries(options);
  return {
    own: Object.fromEntries(all.filter(entry => !isGiven(entry))),
    given: Object.fromEntries(all.filter(isGiven)),
  };
}

const contextOf = (
  { name }: ModuleOptions,
  baseDirectory: string,
  memoryBytes: number,
): ConnectorContext => ({
  name,
  baseDirectory: resolve(baseDirectory),
  memoryBytes,
});

async function created<K extends keyof ConnectorKinds>(
  connector: Connector<K>,
  options: ModuleOptions,
  baseDirectory: string,
  memoryBytes: number,
): Promise<ConnectorKinds[K]> {
  const { own } = divided(connector.kind, options);
  try {
    return await connector.create(own, contextOf(options, baseDirectory, memoryBytes));
  } catch (error) {
    if (error instanceof StageError) throw error;
    const what = `module ${options.module}: expected a ${connector.kind}, found that \`create\` failed: ${(error as Error).message}`;
    throw new StageError('CONFIG_INVALID', what, { cause: error });
  }
}

/** What a module made, whose `close` has an end. */
function closedInTime<C extends { close(): Promise<void> }>(made: C, { module }: ModuleOptions): C {
  const close = made.close.bind(made);
  const late = () =>
    new StageError('INTERRUPTED', `module ${module}: expected \`close\` to end within ${closeMs / 1000} s`);
  made.close = () => within(close(), closeMs, late);
  return made;
}

/** Makes what the module of checked options makes. */
export async function createFrom<K extends keyof ConnectorKinds>(
  kind: K,
  options: ModuleOptions,
  baseDirectory: string,
  memoryBytes = ampleBytes,
): Promise<ConnectorKinds[K]> {
  const connector = await loadConnector(kind, options.module, baseDirectory);
  const made = await created(connector, options, baseDirectory, memoryBytes);
  if (made.name === options.name) return closedInTime(made, options);
  throw new StageError(
    'CONFIG_INVALID',
    `module ${options.module}: expected a ${kind} of the name ${options.name}, found ${made.name}; \`create\` has to use \`context.name\``,
  );
}

/** What the module finds of its system, if it looks. */
export async function examineWith<K extends keyof ConnectorKinds>(
  kind: K,
  options: ModuleOptions,
  baseDirectory: string,
): Promise<readonly Finding[] | undefined> {
  const connector = await loadConnector(kind, options.module, baseDirectory);
  return connector.examine?.(divided(kind, options).own, contextOf(options, baseDirectory, ampleBytes));
}
