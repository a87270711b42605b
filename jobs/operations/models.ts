/** Models of the state, and what the sinks hold of them. */
import { z } from 'zod';
import type { Manifest } from '../../src/contracts/manifest.js';
import { pruneModels, sinkContents } from '../kept-models.js';
import { operation } from './operation.js';

/** Lists that `compareModels` compares: their length, and how many users are asked. */
const listLength = 20;
const sampledUsers = 2000;

const version = z.string().min(1);

export const models = operation({
  parameters: z.strictObject({}),
  run: async ({ pipeline }) =>
    (await pipeline.parts.store.models()).map(({ version, createdAt, published, manifest }) => {
      const { solver, parameters, events, metrics } = manifest;
      return { version, createdAt, published, solver, parameters, events, metrics };
    }),
});

/** The versions in the sinks, and the aliases that name them. */
export const published = operation({
  parameters: z.strictObject({}),
  waits: true,
  run: ({ pipeline }) => sinkContents(pipeline),
});

export const model = operation({
  parameters: z.strictObject({ version }),
  run: ({ pipeline }, { version }) => pipeline.manifestOf(version),
});

/** The values that differ between the manifests of two models, and how far their lists differ; `{}` for the same. */
export const compareModels = operation({
  parameters: z.strictObject({ a: version, b: version }),
  async run({ pipeline }, { a, b }) {
    const [left, right] = [leaves(await pipeline.manifestOf(a)), leaves(await pipeline.manifestOf(b))];
    const keys = [...new Set([...left.keys(), ...right.keys()])].filter(k => left.get(k) !== right.get(k));
    if (keys.length === 0) return undefined;
    const values = Object.fromEntries(
      keys.map(k => [k, [left.get(k) ?? null, right.get(k) ?? null] as const]),
    );
    return { values, lists: await pipeline.compare(a, b, listLength, sampledUsers) };
  },
});

/** The values of a manifest by their paths. */
function leaves(manifest: Manifest): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) found.set(path, value);
    else for (const [key, inner] of Object.entries(value)) visit(inner, path ? `${path}.${key}` : key);
  };
  visit(manifest, '');
  return found;
}

/** Deletes the models and versions that retention does not keep. */
export const prune = operation({
  parameters: z.strictObject({}),
  changes: true,
  async run({ pipeline }) {
    const before = await sinkContents(pipeline);
    if (pipeline.parts.sinks.length > 0)
      await pipeline.withSinks(sinks =>
        Promise.all(sinks.map(async sink => sink.keep !== undefined && sink.prune?.(sink.keep))),
      );
    const after = await sinkContents(pipeline);
    const gone = before.flatMap(({ sink, versions }, k) =>
      versions
        .filter(v => v.complete && !after[k]?.versions.some(o => o.version === v.version))
        .map(v => ({ sink, version: v.version })),
    );
    const models = await pruneModels(pipeline);
    pipeline.parts.log.info({ models, versions: gone }, 'pruned');
    return { models, versions: gone };
  },
});
