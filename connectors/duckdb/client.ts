import type * as Client from '@duckdb/node-api';
import type * as Bindings from '@duckdb/node-bindings';
import { required } from '../../src/runtime/require.js';

const client = required('@duckdb/node-api') as typeof Client;
/** What the client itself is made of. */
export const bindings = required('@duckdb/node-bindings') as typeof Bindings;

export type { DuckDBAppender, DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
export type DuckDBDataChunk = Client.DuckDBDataChunk;
export type DuckDBInstance = Client.DuckDBInstance;
export const {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBTimestampValue,
  FLOAT,
  INTEGER,
  TIMESTAMP,
  UBIGINT,
  UTINYINT,
  VARCHAR,
} = client;
