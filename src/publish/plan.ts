import { createHash } from 'node:crypto';
import type { Manifest } from '../contracts/manifest.js';
import { live, type Publication, type Sink, type SinkVersion } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { mebibytes } from '../size.js';
import type { Rules } from './rules.js';

/** A hash of everything that determines the lists of a publication: equal hashes mean equal lists. */
export function contentOf(manifest: Manifest, change: number, settings: object, rules: Rules): string {
  const parts = [manifest.version, manifest.weightsChecksum, manifest.items.checksum, change, settings];
  const hash = createHash('sha256').update(JSON.stringify(parts));
  for (const array of [rules.allowed, rules.groups, rules.popular]) {
    hash.update(`:${array?.length ?? '-'}:`);
    if (array) hash.update(array);
  }
  return hash.digest('hex').slice(0, 16);
}

/** A version that some content was published under. Readers may have seen it. */
export interface Named {
  readonly version: string;
  readonly content?: string | undefined;
}

/**
 * Chooses the version to publish `manifest` under. Content that has a version, in a sink or from an earlier publication,
 * keeps it. Other content gets the version of the model, or `<model>.2`, `.3`, … if that is taken. So a version never
 * stands for two contents, even after the sinks have deleted its lists.
 */
export function chooseVersion(
  manifest: Manifest,
  content: string,
  known: readonly (readonly SinkVersion[])[],
  earlier: readonly Named[] = [],
): string {
  const held = known.flat().filter(v => v.version !== live);
  const given: readonly Named[] = [
    ...held.filter(v => v.complete),
    ...held.filter(v => !v.complete),
    ...earlier,
  ];
  const same = given.find(v => v.content === content);
  if (same) return same.version;
  const taken = new Set([...held.filter(v => v.complete), ...earlier].map(v => v.version));
  const model = manifest.version;
  if (!taken.has(model)) return model;
  for (let n = 2; ; n++) if (!taken.has(`${model}.${n}`)) return `${model}.${n}`;
}

/** Lists of a sample and their bytes, to estimate the size of all lists. */
export interface Sample {
  readonly lists: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

/** Estimated bytes of `lists` lists of a publication, and of its vectors, in `sink`. */
export function estimateBytes(
  sink: Sink,
  { version, vectors }: Publication,
  sample: Sample,
  lists: number,
): number {
  if (sample.lists === 0) return 0;
  const beside = sample.keyBytes / sample.lists + version.length + (sink.overheadBytes ?? 0);
  const one = beside + sample.valueBytes / sample.lists;
  const numbers = vectors ? (vectors.form === 'sparse' ? 8 : 4) * vectors.entries : 0;
  return Math.round(one * lists + beside * (vectors?.count ?? 0) + numbers);
}

/** Throws `SINK_TOO_SMALL`, with the numbers, if the lists do not fit a sink. */
export function assertRoom(sinks: readonly Sink[], bytes: readonly number[], lists: number): void {
  const over = sinks.flatMap((sink, k) =>
    sink.maxBytes !== undefined && bytes[k]! > sink.maxBytes
      ? [
          `sink ${sink.name}: ${lists} lists take about ${mebibytes(bytes[k]!)}, maxBytes is ${mebibytes(sink.maxBytes)}`,
        ]
      : [],
  );
  if (over.length > 0) throw new StageError('SINK_TOO_SMALL', over.join('\n'));
}
