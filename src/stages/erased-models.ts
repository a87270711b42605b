import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelRecord } from '../contracts/index.js';
import { fileChecksum, type Manifest, readManifest } from '../contracts/manifest.js';
import { readSafetensors } from '../matrix/safetensors.js';
import { syncDirectory } from '../matrix/safetensors-header.js';
import { parameters } from '../model/model.js';
import { loadModel, saveModel } from '../model/weights-file.js';
import { withoutItems } from '../model/without.js';
import { popularityFile } from './model-files.js';

const beside = '.erased-';

/**
 * Writes the models that know one of the `dropped` items again, without them, beside the old ones; returns their
 * manifests. `takePlace` puts them in place once the state has registered those.
 */
export function writeWithout(
  directory: string,
  models: readonly ModelRecord[],
  dropped: Int32Array,
): Manifest[] {
  return models.flatMap(({ version, manifest }) => {
    const gone = dropped.filter(i => i < manifest.items.count);
    if (gone.length === 0 || !existsSync(join(directory, version))) return [];
    const old = join(directory, version);
    const made = join(directory, beside + version);
    rmSync(made, { recursive: true, force: true });
    mkdirSync(made);
    const weights = 'weights.safetensors';
    const model = withoutItems(loadModel(join(old, weights)), gone);
    const { metadata } = readSafetensors(join(old, weights), () => false);
    saveModel(join(made, weights), model, metadata);
    const dropping = new Set(gone);
    const keys = (JSON.parse(readFileSync(join(old, 'items.json'), 'utf8')) as string[]).filter(
      (_, i) => !dropping.has(i),
    );
    const { checksum, bytes } = fileChecksum(join(made, weights));
    const changed: Manifest = {
      ...manifest,
      items: { count: keys.length, checksum: createHash('sha256').update(keys.join('\n')).digest('hex') },
      parameters: parameters(model),
      weightsChecksum: checksum,
      weightsBytes: bytes,
    };
    writeFileSync(join(made, 'items.json'), JSON.stringify(keys), { flush: true });
    writeFileSync(join(made, 'manifest.json'), `${JSON.stringify(changed, null, 2)}\n`, { flush: true });
    writePopularityWithout(old, made, dropping);
    syncDirectory(made);
    return [changed];
  });
}

/** The buckets of popularity without those of items that leave, where the model has them. */
function writePopularityWithout(old: string, made: string, dropping: ReadonlySet<number>): void {
  if (!existsSync(join(old, popularityFile))) return;
  const kept = readFileSync(join(old, popularityFile)).filter((_, i) => !dropping.has(i));
  writeFileSync(join(made, popularityFile), kept, { flush: true });
}

/** Puts the models that `writeWithout` made and the state has registered in place of the old ones; removes others. */
export function takePlace(directory: string, models: readonly ModelRecord[]): void {
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    if (!name.startsWith(beside)) continue;
    const made = join(directory, name);
    const version = name.slice(beside.length);
    const registered = models.find(m => m.version === version)?.manifest.weightsChecksum;
    if (registered !== undefined && isWhole(made) && readManifest(made).weightsChecksum === registered) {
      rmSync(join(directory, version), { recursive: true, force: true });
      renameSync(made, join(directory, version));
      syncDirectory(directory);
    } else rmSync(made, { recursive: true });
  }
}

const isWhole = (directory: string): boolean => existsSync(join(directory, 'manifest.json'));
