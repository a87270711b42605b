import { createHash } from 'node:crypto';
import { StageError } from '../errors.js';
import type { Manifest } from '../model/version.js';
import { live, type Publication, type Sink, type SinkVersion } from '../sink.js';

/** What the lists of a publication follow from, as a short text that is equal when they are. */
export function contentOf(manifest: Manifest, change: number, settings: object): string {
  const parts = [manifest.version, manifest.weightsChecksum, manifest.items.checksum, change, settings];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/**
 * The version to publish `manifest` under. One that some sink has begun or completed with the same content goes on;
 * otherwise the model's own version, or `<model>.2`, `.3`, … where sinks have completed that with other lists.
 */
export function chooseVersion(
  manifest: Manifest,
  content: string,
  known: readonly (readonly SinkVersion[])[],
): string {
  const model = manifest.version;
  const all = known.flat().filter(v => v.version !== live);
  const same = all.filter(v => v.content === content && (v.model ?? v.version) === model);
  const begun = same.find(v => v.complete) ?? same[0];
  if (begun) return begun.version;
  const taken = new Set(all.filter(v => v.complete).map(v => v.version));
  if (!taken.has(model)) return model;
  for (let n = 2; ; n++) if (!taken.has(`${model}.${n}`)) return `${model}.${n}`;
}

/** What one list takes in a sink, on average, from a sample. */
export interface Sample {
  readonly lists: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

/** Bytes that `lists` lists of a publication take in `sink`. */
export function estimateBytes(sink: Sink, { version }: Publication, sample: Sample, lists: number): number {
  if (sample.lists === 0) return 0;
  const one =
    (sample.keyBytes + sample.valueBytes) / sample.lists + version.length + (sink.overheadBytes ?? 0);
  return Math.round(one * lists);
}

/** Refuses a publication that some sink has no room for, with the numbers. */
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

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
