import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { milliseconds } from './duration.js';
import { modelsDirectory } from './model-files.js';
import type { KeptOptions } from './options.js';
import type { PipelineParts } from './parts.js';
import { segmentsDirectory } from './segments.js';

const kept = ({ keep, maxAge }: KeptOptions) => ({ keep, maxAgeMs: milliseconds(maxAge) });

/** Removes what a state remembers for longer than its options say. */
export function createRetention({ directory, store, options, log }: PipelineParts) {
  /** Removes outdated rows, once an hour at most. */
  async function retain(): Promise<void> {
    const { dedupe, deadLetters, runs } = options;
    const outdated = await store.removeOutdated({
      dedupeMs: milliseconds(dedupe.window),
      deadLetters: kept(deadLetters),
      runs: kept(runs),
    });
    if (!outdated) return;
    await forgetRetired();
    if (Object.values(outdated).some(count => count > 0)) log.debug(outdated, 'outdated rows removed');
  }

  /** Forgets the names of files that the state has let go of, once the files are gone. */
  async function forgetRetired(): Promise<void> {
    const names = await store.retired();
    const folders = [segmentsDirectory(directory), modelsDirectory(directory)];
    const left = names.some(name => folders.some(folder => existsSync(join(folder, name))));
    if (names.length > 0 && !left) await store.clearRetired();
  }

  return { retain };
}
