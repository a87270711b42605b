import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { examine, type Finding, lookAtSink } from '../src/contracts/finding.js';
import type { Source, WeightRules } from '../src/contracts/index.js';
import { StageError } from '../src/errors.js';
import { totalOf } from '../src/stages/events.js';
import type { signalOptions, sinkOptions, sourceOptions } from './registry.js';
import {
  createSignals,
  createSink,
  createSource,
  kindOf,
  signalSources,
  sinks,
  sources,
} from './registry.js';
import { tryBatch } from './tried.js';

/** The directory, or the nearest one above it that is there; throws if it cannot be written, for `what`. */
export function writableFrom(directory: string, what: string): string {
  let at = directory;
  while (!statSync(at, { throwIfNoEntry: false })) at = dirname(at);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StageError(
      'CONFIG_INVALID',
      `${what}: ${at}: expected a directory that can be written (${code})`,
    );
  }
  return at;
}

/** Events that are shown of a source. */
const shownEvents = 3;

/** What the first read of a source gives, without taking it in. */
export async function sample(source: Source, weights: WeightRules) {
  await source.connect([]);
  try {
    const records = (await source.read())?.batches.map(b => b.records) ?? [];
    const tried = records.map(r => tryBatch(r, weights, shownEvents));
    const dead = tried.flatMap(t => t.dead);
    const skipped = tried.reduce((sum, t) => sum + totalOf(t.skipped), 0);
    return {
      records: records.reduce((sum, r) => sum + r.length, skipped),
      deadLetters: dead.length,
      skipped,
      reason: dead[0]?.reason,
      events: tried.flatMap(t => t.events).slice(0, shownEvents),
    };
  } finally {
    await source.close();
  }
}

/** Looks at what a source needs; nothing is taken in. */
export async function examineSource(
  options: z.output<typeof sourceOptions>,
  baseDirectory: string,
  weights: WeightRules,
): Promise<readonly Finding[]> {
  const known = await kindOf(sources, options).examine?.(options, baseDirectory);
  if (known) return known;
  const look = async () => {
    const found = await sample(await createSource(options, baseDirectory), weights);
    return `${found.records} records read, ${found.deadLetters} would be dead letters`;
  };
  return [await examine(`source ${options.name}`, look)];
}

/** Throws if a sink of files cannot be made or written where it is to be: to look at it makes none. */
function assertPlace(options: z.output<typeof sinkOptions>, baseDirectory: string): void {
  if (options.type === 'module') return;
  const given = 'database' in options ? options.database : 'path' in options ? options.path : undefined;
  if (given === undefined) return;
  const path = resolve(baseDirectory, given);
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory();
  writableFrom(isDirectory ? path : dirname(path), `sink ${options.type}`);
}

/** Looks at what a sink needs; publishes nothing. */
export async function examineSink(
  options: z.output<typeof sinkOptions>,
  baseDirectory: string,
): Promise<readonly Finding[]> {
  const known = await kindOf(sinks, options).examine?.(options, baseDirectory);
  if (known) return known;
  const look = async () => {
    assertPlace(options, baseDirectory);
    return lookAtSink(await createSink(options, baseDirectory));
  };
  return [await examine(`sink ${options.type === 'module' ? options.name : options.type}`, look)];
}

/** Looks at where signals come from; obeys none. */
export async function examineSignals(
  options: z.output<typeof signalOptions>,
  baseDirectory: string,
): Promise<readonly Finding[]> {
  const known = await kindOf(signalSources, options).examine?.(options, baseDirectory);
  if (known) return known;
  const look = async () => {
    const signals = await createSignals(options, baseDirectory);
    try {
      return `${(await signals.pending()).length} wait`;
    } finally {
      await signals.close();
    }
  };
  return [await examine('signals', look)];
}
