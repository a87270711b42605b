import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileChecksum, type Manifest, readManifest } from '../contracts/manifest.js';
import { StageError } from '../errors.js';
import type { Register } from './orphans.js';
import type { PipelineParts } from './parts.js';

/** The state directory, with its models in `models/`, and the store that registers them. */
type State = Pick<PipelineParts, 'directory' | 'store'>;

/** Directory of the models of a state. */
export const modelsDirectory = (state: string): string => join(state, 'models');

/** Weights file of a model of a state. */
export const weightsPath = (state: string, version: string): string =>
  join(modelsDirectory(state), version, 'weights.safetensors');

/** File of a model with the keys of its items. */
export const itemsFile = 'items.json';

/** File of a model with the bucket of popularity of each item, a byte each. */
export const popularityFile = 'popularity.u8';

/** What belongs in `models/`. */
export async function modelRegister(
  { directory, store }: State,
  retired: ReadonlySet<string>,
): Promise<Register> {
  return {
    directory: modelsDirectory(directory),
    whole: /^\d{8}-\d{9}-[0-9a-f]{4}$/,
    unfinished: /^\.fit-\d+-\d+$/,
    registered: new Set((await store.models()).map(m => m.version)),
    retired,
  };
}

/** The manifest of `version`, of the newest model without one. `MODEL_UNKNOWN` if there is none. */
export async function manifestOf({ directory, store }: State, version?: string): Promise<Manifest> {
  const models = await store.models();
  const model = version === undefined ? models.at(-1) : models.find(m => m.version === version);
  if (!model || !existsSync(join(modelsDirectory(directory), model.version))) {
    const known =
      models
        .map(m => m.version)
        .slice(-3)
        .join(', ') || 'none';
    throw new StageError(
      'MODEL_UNKNOWN',
      `model ${version ?? '(newest)'}: expected one of the state's models, found ${known}`,
    );
  }
  const path = join(modelsDirectory(directory), model.version);
  const manifest = readManifest(path);
  if (manifest.weightsChecksum === model.manifest.weightsChecksum) return manifest;
  throw new StageError(
    'STATE_CORRUPT',
    `${join(path, 'manifest.json')}: expected the checksum ${model.manifest.weightsChecksum} that was registered, found ${manifest.weightsChecksum}`,
  );
}

/** As `manifestOf`, of a model whose weights and items have the checksums of it; `STATE_CORRUPT` names the file. */
export async function intactManifestOf(state: State, version?: string): Promise<Manifest> {
  const manifest = await manifestOf(state, version);
  const [damage] = damagesOf(state.directory, manifest);
  if (!damage) return manifest;
  const { path, expected, found } = damage;
  throw new StageError(
    'STATE_CORRUPT',
    `${path}: expected the checksum ${expected} of the manifest, found ${found}`,
  );
}

/** Files of models that are missing or have another checksum than the state registered. */
export async function damagedFiles(
  { directory, store }: State,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const damaged: string[] = [];
  for (const { manifest } of await store.models()) {
    signal?.throwIfAborted();
    const model = join(modelsDirectory(directory), manifest.version);
    if (!says(model, manifest.weightsChecksum)) damaged.push(join(model, 'manifest.json'));
    for (const { path } of damagesOf(directory, manifest)) damaged.push(path);
  }
  return damaged;
}

/** Whether the manifest of a model can be read and has this checksum of its weights. */
function says(model: string, weightsChecksum: string): boolean {
  try {
    return readManifest(model).weightsChecksum === weightsChecksum;
  } catch {
    return false;
  }
}

/** The files of a model that are missing or have another checksum than its manifest says. */
function damagesOf(state: string, { version, weightsChecksum, items }: Manifest) {
  const files = [
    {
      path: weightsPath(state, version),
      expected: weightsChecksum,
      checksumOf: (path: string) => fileChecksum(path).checksum,
    },
    {
      path: join(modelsDirectory(state), version, itemsFile),
      expected: items.checksum,
      checksumOf: (path: string) => keysChecksum(keysIn(path)),
    },
  ];
  return files
    .map(({ checksumOf, ...file }) => ({
      ...file,
      found: existsSync(file.path) ? checksumOf(file.path) : 'no file',
    }))
    .filter(({ expected, found }) => found !== expected);
}

/** The checksum of the keys of items, as in a manifest. */
export const keysChecksum = (keys: readonly string[]): string =>
  createHash('sha256').update(keys.join('\n')).digest('hex');

/** The keys in a file of a model; none if it is missing or damaged. */
export function keysIn(path: string): readonly string[] {
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(found) ? (found as string[]) : [];
  } catch {
    return [];
  }
}

/** Deletes all models but the `keep` newest, the one whose lists are published, and `named`; returns their versions. */
export async function pruneModels(
  { directory, store }: State,
  keep: number,
  named: readonly string[] = [],
): Promise<readonly string[]> {
  const records = await store.models();
  const old = records
    .slice(0, Math.max(0, records.length - keep))
    .filter(m => !m.published && !named.includes(m.version))
    .map(m => m.version);
  for (const version of old) {
    await store.forgetModel(version);
    rmSync(join(modelsDirectory(directory), version), { recursive: true, force: true });
  }
  return old;
}
