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
  readonly users: number;
  readonly interactions: number;
  readonly parameters: number;
  /** SHA-256 of `weights.safetensors`. */
  readonly weightsChecksum: string;
  readonly weightsBytes: number;
  readonly fit: Readonly<Record<string, number | string | boolean | readonly number[]>>;
  readonly metrics?: Readonly<Record<string, number>> | undefined;
}
