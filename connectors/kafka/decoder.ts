import type { KafkaMessage } from 'kafkajs';
import { type Given, type Taken, Undecodable } from '../../src/mapping/index.js';
import { getterOf, parsePath } from '../../src/mapping/path.js';
import { createRecordMapper, recordTime } from '../../src/mapping/record-mapper.js';
import type { Records } from '../../src/mapping/records.js';
import { openCloudEvent } from './cloud-events.js';
import { type KafkaSourceOptions, mappingOf } from './options.js';
import { openPayloads, type Payloads } from './payloads.js';

/** Turns messages into records. */
export interface Decoder {
  /** Fetches what decoding `messages` takes from elsewhere. */
  prepare(messages: readonly KafkaMessage[]): Promise<void>;
  /** Appends what a message becomes: events, or why it is none. */
  decode(message: KafkaMessage, records: Records): void;
}

/** Takes tombstones: the item of the user that the key names is set to nothing. */
function retraction(
  options: KafkaSourceOptions,
  payloads: Payloads,
): (message: KafkaMessage, given: Given, taken: Taken) => void {
  const { key: keyOptions } = options;
  const own = recordTime(options.timeUnit);
  const [user, item] = [keyOptions?.user ?? '0', keyOptions?.item ?? '1'].map(p => getterOf(parsePath(p)));
  const redundant = mappingOf(options).envelope === 'debezium';
  return (message, given, taken) => {
    if (!keyOptions && redundant) return taken.skip('tombstone');
    if (!keyOptions)
      throw new Undecodable(
        'tombstone-unmapped',
        'a record without a value: set `key` to say what it retracts',
      );
    if (!message.key)
      throw new Undecodable('tombstone-keyless', 'a record without a value and without a key');
    given.value = payloads.key(message);
    given.key = given.value;
    taken.event(user!(given), item!(given), 0, 'set', own(message.timestamp), undefined);
  };
}

/** Fills `given` with the parts of a message whose value is not flat. */
function parts(options: KafkaSourceOptions, payloads: Payloads, readsKey: boolean) {
  const events = mappingOf(options).envelope === 'cloudevents';
  return (message: KafkaMessage, given: Given): void => {
    const { headers } = message;
    given.headers = headers;
    if (events)
      [given.value, given.attributes] = openCloudEvent(message, bytes =>
        payloads.value(bytes, 'data', headers),
      );
    else given.value = payloads.value(message.value!, 'value', headers);
    if (readsKey) given.key = payloads.key(message);
  };
}

/** Makes the decoder that a source's options ask for. */
export function createDecoder(options: KafkaSourceOptions): Decoder {
  const { format, maxRecordBytes, timeUnit } = options;
  const payloads = openPayloads(options);
  const reading = {
    time: recordTime(timeUnit),
    operation: format === 'protobuf' ? payloads.operation : undefined,
    noDefaults: format === 'protobuf',
  };
  const mapper = createRecordMapper(mappingOf(options), reading, format === 'json');
  const retract = retraction(options, payloads);
  const fill = parts(options, payloads, mapper.readsKey);
  const take = (message: KafkaMessage, given: Given, records: Records): void => {
    const { value } = message;
    given.timestamp = message.timestamp;
    if (value === null) {
      retract(message, given, records);
      return;
    }
    if (value.length > maxRecordBytes)
      throw new Undecodable(
        'record-too-large',
        `value: expected at most ${maxRecordBytes} bytes, found ${value.length}`,
      );
    mapper.take(value, records, g => fill(message, g));
  };
  return {
    prepare: messages => payloads.prepare(messages),
    decode: (message, records) =>
      mapper.record(Number(message.offset), message.value ?? message.key, records, given =>
        take(message, given, records),
      ),
  };
}
