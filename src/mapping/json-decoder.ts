import type { KeptRecord, RecordBatch } from '../contracts/index.js';
import type { TimeUnit } from '../stages/event-time.js';
import { convertConnect } from './connect-json.js';
import type { MappingOptions } from './options.js';
import { openStructured, parseJson } from './parse-json.js';
import type { Given } from './path.js';
import { createRecordMapper, recordTime } from './record-mapper.js';
import { originalBytes, Records } from './records.js';
import { Undecodable } from './undecodable.js';

/** How records of JSON are decoded. */
export interface JsonDecoderOptions extends MappingOptions {
  readonly timeUnit: TimeUnit;
  readonly maxAheadMs: number;
  /** A longer record is no event. */
  readonly maxRecordBytes: number;
}

/** Makes events of records of JSON that have neither keys nor headers: lines of a file, bodies of requests. */
export interface JsonDecoder {
  /** Appends what a record becomes; `timestamp` (epoch ms) is the time of events that have none, if it is given. */
  decode(bytes: Buffer, sequence: number, timestamp: number | undefined, records: Records): void;
  /** What has been decoded as a batch of a partition. */
  batch(partition: string, records: Records): RecordBatch;
  /** See `Source.decodeAgain`. */
  again(letters: readonly KeptRecord[]): RecordBatch;
}

const parsed = (bytes: Buffer): unknown => convertConnect(parseJson(bytes, 'record'));

/** Makes the decoder that the options of a source ask for. */
export function createJsonDecoder(options: JsonDecoderOptions): JsonDecoder {
  const { timeUnit, maxAheadMs, maxRecordBytes, envelope, fields, where, each } = options;
  const own = recordTime(timeUnit);
  const reading = {
    time: (timestamp: Given['timestamp']) => (timestamp === '' ? undefined : own(timestamp)),
  };
  const mapper = createRecordMapper({ envelope, fields, where, each }, reading, true);
  const fill = (bytes: Buffer, given: Given): void => {
    if (envelope === 'cloudevents')
      [given.value, given.attributes] = openStructured(parseJson(bytes, 'record'), parsed);
    else given.value = parsed(bytes);
  };
  const decoder: JsonDecoder = {
    decode: (bytes, sequence, timestamp, records) =>
      mapper.record(sequence, bytes, records, given => {
        given.timestamp = timestamp ?? '';
        if (bytes.length > maxRecordBytes)
          throw new Undecodable('record-too-large', `expected at most ${maxRecordBytes} bytes, found more`);
        mapper.take(bytes, records, g => fill(bytes, g));
      }),
    batch: (partition, records) => records.batch(partition, { unit: timeUnit, maxAheadMs }),
    again(letters) {
      const records = new Records();
      for (const { raw, sequence, rejectedAt } of letters)
        decoder.decode(originalBytes(raw), sequence, rejectedAt, records);
      return decoder.batch(letters[0]!.partition, records);
    },
  };
  return decoder;
}
