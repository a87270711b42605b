/** The contract of connectors that are no part of this package: a configuration names the module that exports one. */
import type { z } from 'zod';
import type { Finding } from './finding.js';
import type { SignalSource } from './signal.js';
import type { Sink } from './sink.js';
import type { Source } from './source.js';

/** What each kind of connector makes. */
export interface ConnectorKinds {
  readonly source: Source;
  readonly sink: Sink;
  readonly signals: SignalSource;
}

/** What a connector is told beside its options. */
export interface ConnectorContext {
  /** The name that the configuration gives it; what is made must have it. */
  readonly name: string;
  /** Where relative paths begin: the directory of the configuration. */
  readonly baseDirectory: string;
  /** What it may hold in memory. */
  readonly memoryBytes: number;
}

/** A connector, as a module exports it by default. */
export interface Connector<
  K extends keyof ConnectorKinds = keyof ConnectorKinds,
  O extends z.ZodType = z.ZodType,
> {
  readonly kind: K;
  /** What may be set beside `type`, `module` and `name`. */
  readonly options: O;
  /** Makes one; it connects to nothing yet. */
  create(options: z.output<O>, context: ConnectorContext): ConnectorKinds[K] | Promise<ConnectorKinds[K]>;
  /** Looks at what one needs, for `doctor`, where making and reading one does not tell enough. */
  examine?(options: z.output<O>, context: ConnectorContext): Promise<readonly Finding[]>;
}

/** Returns the connector as it is, with its types checked. */
export const defineConnector = <K extends keyof ConnectorKinds, O extends z.ZodType>(
  connector: Connector<K, O>,
): Connector<K, O> => connector;
