/** For authors of connectors: the contracts, and what the built-in ones are made of. */
export { type Connector, type ConnectorContext, defineConnector } from './contracts/connector.js';
export type { Finding } from './contracts/finding.js';
export type * from './contracts/index.js';
export { type ErrorCode, StageError } from './errors.js';
export { type MappingOptions, mappingOptions } from './mapping/index.js';
export {
  createJsonDecoder,
  type JsonDecoder,
  type JsonDecoderOptions,
} from './mapping/json-decoder.js';
export { Records } from './mapping/records.js';
export { decodeList } from './publish/decode.js';
export { encodeRanked } from './publish/encode.js';
export { hasDied, mayFollow } from './publish/lease.js';
export type { Access, Draft, ListCounts, ListStore, Move } from './publish/list-store.js';
export { keyValueSettings, leaseSetting, sinkSettings } from './publish/sink-options.js';
export {
  assertExpected,
  leaseLost,
  notComplete,
  Refusal,
  type StoredPublication,
  sinkVersion,
} from './publish/sink-steps.js';
export { createKeyedSink, createVersionedSink, rankedForm } from './publish/versioned-sink.js';
export { withoutItems } from './publish/without-items.js';
export { createProbe, type Probe } from './runtime/probe.js';
export { timeOptions } from './stages/event-time.js';
