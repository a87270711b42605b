import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelRecord } from '../contracts/index.js';
import { fileChecksum, type Manifest, readManifest } from '../contracts/manifest.js';
import { readSafetensors } from '../matrix/safetensors.js';
import { syncDirectory } from '../matrix/safetensors-header.js';
import { parameters } from '../model/model.js';
import { loadModel, saveModel } from '../model/weights-file.js';
import { withoutItems } from '../model/without.js';
import { itemsFile, keysChecksum, keysIn, popularityFile } from './model-files.js';

const beside = '.erased-';

const weights = 'weights.safetensors';

/**
 * Writes the models that know one of the `dropped` items again, without them, beside the old ones; returns their
 * manifests. `takePlace` puts them in place once the state has registered those. Of damaged files nothing is written,
 * and their checksums stay: a model without its weights is refused by name.
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
    const dropping = new Set(gone);
    const changed: Manifest = {
      ...manifest,
      ...writeWeights(old, made, gone, manifest),
      items: {
        count: manifest.items.count - gone.length,
        checksum: writeKeys(old, made, dropping, manifest),
      },
    };
    writeFileSync(join(made, 'manifest.json'), `${JSON.stringify(changed, null, 2)}\n`, { flush: true });
    writePopularityWithout(old, made, dropping);
    syncDirectory(made);
    return [changed];
  });
}

/** Writes weights without items; returns what changes in the manifest. */
function writeWeights(old: string, made: string, gone: Int32Array, manifest: Manifest): Partial<Manifest> {
  const path = join(old, weights);
  if (!existsSync(path) || fileChecksum(path).checksum !== manifest.weightsChecksum) return {};
  const model = withoutItems(loadModel(path), gone);
  const { metadata } = readSafetensors(path, () => false);
  saveModel(join(made, weights), model, metadata);
  const { checksum, bytes } = fileChecksum(join(made, weights));
  return { parameters: parameters(model), weightsChecksum: checksum, weightsBytes: bytes };
}

/** Writes the keys of items without some; returns their checksum. */
function writeKeys(old: string, made: string, dropping: ReadonlySet<number>, manifest: Manifest): string {
  const keys = keysIn(join(old, itemsFile));
  if (keysChecksum(keys) !== manifest.items.checksum) return manifest.items.checksum;
  const left = keys.filter((_, i) => !dropping.has(i));
  writeFileSync(join(made, itemsFile), JSON.stringify(left), { flush: true });
  return keysChecksum(left);
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
