import { z } from 'zod';
import type { Sample } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { openKafka } from './client.js';
import { registerCodecs } from './codecs.js';
import { connectionOptions } from './options.js';
import { openTail } from './tail.js';

/** Records that are looked at. */
const sampleRecords = 1000;

type Leaf = string | number | boolean | null;

/** Values of a record by dotted path. */
function leavesOf(value: unknown, path: string, into: Map<string, Leaf>): Map<string, Leaf> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    for (const [key, inner] of Object.entries(value)) leavesOf(inner, path ? `${path}.${key}` : key, into);
  else if (!Array.isArray(value) && path) into.set(path, value as Leaf);
  return into;
}

/** Reads the first records of a topic. */
async function firstValues(brokers: string, topic: string): Promise<Buffer[]> {
  registerCodecs();
  const kafka = openKafka(z.strictObject(connectionOptions).parse({ brokers }));
  const values: Buffer[] = [];
  let enough = () => {};
  const full = new Promise<void>(done => {
    enough = done;
  });
  const where = `topic ${topic}`;
  const tail = await openTail(kafka, { group: 'sansa-stream-init', where }, new Map([[topic, undefined]]), {
    record: ({ message: { value } }) => {
      if (value && values.length < sampleRecords) values.push(value);
      if (values.length === sampleRecords) enough();
    },
  });
  await Promise.race([tail.caughtUp(), full]).finally(() => tail.close());
  return values;
}

/**
 * Looks at the first records of a topic, whose values are JSON.
 *
 * @throws StageError `SOURCE_UNREADABLE` if the brokers do not answer or have no such topic, `DATA_INVALID` if values are
 *   no JSON.
 */
export async function lookAtTopic(brokers: string, topic: string): Promise<Sample> {
  const values = await firstValues(brokers, topic);
  const records = values.map((value, k) => {
    try {
      return leavesOf(JSON.parse(value.toString('utf8')), '', new Map<string, Leaf>());
    } catch (cause) {
      throw new StageError(
        'DATA_INVALID',
        `topic ${topic}: expected JSON, found other bytes in record ${k}`,
        {
          cause,
          remedy: 'write the source by hand, with `format: avro` or `protobuf` and a `registry`',
        },
      );
    }
  });
  const paths = [...new Set(records.flatMap(r => [...r.keys()]))];
  const columns = paths.map(name => {
    const given = records.flatMap(r => r.get(name) ?? []);
    const numbers = given.map(v => (String(v).trim() === '' ? Number.NaN : Number(v)));
    return {
      name,
      type: typeof given[0],
      missing: 1 - given.length / records.length,
      unique: new Set(given).size === records.length,
      smallest: numbers.some(Number.isNaN) ? undefined : Math.min(...numbers),
      example: String(given[0] ?? ''),
    };
  });
  return { where: `topic ${topic}`, rows: records.length, columns };
}
