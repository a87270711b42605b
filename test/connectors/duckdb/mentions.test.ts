/** Ids are found in raw records however JSON has written them. */
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it } from 'vitest';
import { scalar } from '#connectors/duckdb/database.js';
import { mentionsOf } from '#connectors/duckdb/mentions.js';

const id = 'her "name" é';
const ascii = (text: string) =>
  text.replace(/[^ -~]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
const once = JSON.stringify({ id: `mention of ${id} here` });

it.each([
  ['as it is', `mention of ${id} here`],
  ['in JSON', once],
  ['in JSON of ASCII', ascii(once)],
  ['in JSON within JSON', JSON.stringify({ id: once })],
  ['in JSON of ASCII within JSON', JSON.stringify({ id: ascii(once) })],
])('%s', async (_, text) => {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const { word, anywhere, without } = await mentionsOf(connection, id);
  const found = (sql: string) => scalar(connection, `SELECT ${sql} FROM (SELECT ?::VARCHAR AS raw)`, [text]);
  expect([await found(word('raw')), await found(anywhere('raw'))]).toEqual([true, true]);
  expect(await found(without('raw'))).toContain('mention of [erased] here');
  connection.closeSync();
  instance.closeSync();
});
