import type { IHeaders } from 'kafkajs';

/** How many bytes the id of a schema has, behind a zero byte: 4 in Confluent's format, 8 in Apicurio's older one. */
export type IdBytes = 4 | 8;

const prefixBytes = (idBytes: IdBytes): number => 1 + idBytes;

/** Whether a schema's id can stand before the payload. */
export const isFramed = (bytes: Buffer, idBytes: IdBytes): boolean =>
  bytes.length >= prefixBytes(idBytes) && bytes[0] === 0;

/** The schema's id in framed bytes. */
export const schemaIdOf = (bytes: Buffer, idBytes: IdBytes): number =>
  idBytes === 4 ? bytes.readInt32BE(1) : Number(bytes.readBigInt64BE(1));

/** What follows the id. */
export const payloadOf = (bytes: Buffer, idBytes: IdBytes): Buffer => bytes.subarray(prefixBytes(idBytes));

/** Headers by which Apicurio's and newer Confluent serializers name a schema. */
const schemaHeader = /^apicurio\.|^__(key|value)_schema_id$|schema.?(id|ref)/i;

/** Other ways to name a schema, by their first bytes. */
const others: readonly [string, string][] = [
  ['4f626a01', 'an Avro file'],
  ['c301', 'Avro single-object encoding'],
  ['0300', "the format of AWS Glue's registry"],
  ['0305', "the format of AWS Glue's registry"],
  ['7b', 'JSON'],
];

/** What bytes that are not framed look like, and what to do. */
export function describeUnframed(bytes: Buffer, headers: IHeaders | undefined): string {
  const named = Object.keys(headers ?? {}).find(name => schemaHeader.test(name));
  if (named !== undefined)
    return `the schema named in the header ${named}, which is not read: let the producer write the id before the value`;
  const hex = bytes.subarray(0, 5).toString('hex');
  const looks = others.find(([begin]) => hex.startsWith(begin))?.[1];
  return `${hex || 'nothing'}${looks ? `, as of ${looks}` : ''}`;
}

/** What to add to the message about an id that no registry has. */
export const describeId = (id: number, idBytes: IdBytes): string =>
  id === 0 && idBytes === 4
    ? "cannot be; Apicurio's ids of 8 bytes are read with `registry.idBytes: 8`"
    : 'cannot be: ids are positive';
