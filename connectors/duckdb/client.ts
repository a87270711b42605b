import { createRequire } from 'node:module';
import type * as Client from '@duckdb/node-api';

const require = createRequire(import.meta.url);
/** DuckDB's client. Imported, each of its 180 CommonJS files would be parsed twice, a fifth of the start of a command. */
const client = require('@duckdb/node-api') as typeof Client;
/** What the client itself is made of. */
export const bindings = require('@duckdb/node-bindings') as typeof import('@duckdb/node-bindings');

export type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
export type DuckDBDataChunk = Client.DuckDBDataChunk;
export type DuckDBInstance = Client.DuckDBInstance;
export const {
  BIGINT,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBTimestampValue,
  FLOAT,
  INTEGER,
  TIMESTAMP,
  VARCHAR,
} = client;
