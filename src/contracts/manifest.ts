import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { StageError } from '../errors.js';
import type { ModelMetrics } from '../evaluate/gate.js';

/** What a model directory says about itself in `manifest.json`. */
export interface Manifest {
  readonly format: 'sansa-stream/model@1';
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** Version that was newest when this one was fitted. */
  readonly parent?: string | undefined;
  readonly solver: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** n, and the SHA-256 of the first n item keys joined by newlines. */
  readonly items: { readonly count: number; readonly checksum: string };
  /** Events folded into the state when it was fitted. */
  readonly events: number;
  readonly users: number;
  readonly interactions: number;
  /** Interactions of the items in each bucket of popularity; of models of a state. */
  readonly popularity?: readonly number[] | undefined;
  /** Items of each history that the Gramian had at most, the newest ones; all without. */
  readonly maxHistory?: number | undefined;
  /** `gramian.keep` of the stage, where it was set: rows of each column in a pruned view. */
  readonly keep?: number | undefined;
  /** What of the events counted, by their age; an event of weight 1 in the half-life of the newest one weighed 1 in the fit. */
  readonly ageing?:
    | {
        /** Events before it did not count; ISO 8601, UTC. */
        readonly since?: string | undefined;
        readonly halfLifeMs?: number | undefined;
        readonly landmark?: string | undefined;
        /** G was divided by 4 to this power: the half-lives from the landmark to the newest event. */
        readonly halfLives?: number | undefined;
      }
    | undefined;
  readonly parameters: number;
  /** SHA-256 of `weights.safetensors`. */
  readonly weightsChecksum: string;
  readonly weightsBytes: number;
  /** Where the columns of G came from. */
  readonly gramian: string;
  /** The solver's report. */
  readonly fit: object;
  /** What the gate measured, when there was one. */
  readonly metrics?: ModelMetrics | undefined;
}

/** A version that sorts by time: UTC date and time, then 4 digits of the weights' checksum. */
export function newVersion(createdAt: Date, checksum: string): string {
  const [date, time] = createdAt
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .split('T');
  const ms = String(createdAt.getUTCMilliseconds()).padStart(3, '0');
  return `${date!.replaceAll('-', '')}-${time!.replaceAll(':', '')}${ms}-${checksum.slice(0, 4)}`;
}

/** Reads `manifest.json` of a model directory. */
export function readManifest(directory: string): Manifest {
  const path = join(directory, 'manifest.json');
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  } catch (cause) {
    throw new StageError('STATE_CORRUPT', `${path}: expected a manifest (${(cause as Error).message})`);
  }
}

/** SHA-256 and size of a file. */
export function fileChecksum(path: string): { readonly checksum: string; readonly bytes: number } {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1 << 20);
  const fd = openSync(path, 'r');
  let bytes = 0;
  try {
    for (let got = 0; (got = readSync(fd, buffer, 0, buffer.length, bytes)) > 0; bytes += got) {
      hash.update(buffer.subarray(0, got));
    }
  } finally {
    closeSync(fd);
  }
  return { checksum: hash.digest('hex'), bytes };
}
