import type { KafkaMessage } from 'kafkajs';
import { compileMapping, firstLine, type Given, type Taken, Undecodable } from '../../src/mapping/index.js';
import { getterOf, parsePath } from '../../src/mapping/path.js';
import { openCloudEvent } from './cloud-events.js';
import { FlatJson } from './flat-json.js';
import { type KafkaSourceOptions, mappingOf } from './options.js';
import { openPayloads, type Payloads } from './payloads.js';
import type { Records } from './records.js';

/** Turns messages into records. */
export interface Decoder {
  /** Fetches what decoding `messages` takes from elsewhere. */
  prepare(messages: readonly KafkaMessage[]): Promise<void>;
  /** Appends what a message becomes: events, or why it is none. */
  decode(message: KafkaMessage, records: Records): void;
}

/** The record's own time, where its value has none. A unit that is configured holds for values only. */
const recordTime = ({ timeUnit }: KafkaSourceOptions): ((timestamp: string | number) => number | Date) =>
  timeUnit === 'auto' || timeUnit === 'ms' || timeUnit === 'counter'
    ? timestamp => Number(timestamp)
    : timestamp => new Date(Number(timestamp));

/** Takes tombstones: the item of the user that the key names is set to nothing. */
function retraction(
  options: KafkaSourceOptions,
  payloads: Payloads,
): (message: KafkaMessage, given: Given, taken: Taken) => void {
  const { key: keyOptions } = options;
  const own = recordTime(options);
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
  const { format, maxRecordBytes } = options;
  const payloads = openPayloads(options);
  const { map, flat, readsKey } = compileMapping(mappingOf(options), {
    time: recordTime(options),
    operation: format === 'protobuf' ? payloads.operation : undefined,
    noDefaults: format === 'protobuf',
  });
  const retract = retraction(options, payloads);
  const fill = parts(options, payloads, readsKey);
  const json = format === 'json' && flat ? new FlatJson(flat.names) : undefined;
  const given: Given = {
    value: undefined,
    element: undefined,
    envelope: undefined,
    key: undefined,
    headers: undefined,
    attributes: undefined,
    timestamp: 0,
    change: undefined,
  };
  const take: Decoder['decode'] = (message, records) => {
    const { value } = message;
    given.timestamp = message.timestamp;
    if (value === null) return retract(message, given, records);
    if (value.length > maxRecordBytes)
      throw new Undecodable(
        'record-too-large',
        `value: expected at most ${maxRecordBytes} bytes, found ${value.length}`,
      );
    if (json?.read(value)) {
      given.value = json.fields;
      flat!.map(given, records);
    } else {
      fill(message, given);
      map(given, records);
    }
  };
  return {
    prepare: messages => payloads.prepare(messages),
    decode(message, records) {
      records.begin(Number(message.offset), message.value ?? message.key);
      try {
        take(message, records);
      } catch (error) {
        records.reject(
          error instanceof Undecodable
            ? { code: error.code, reason: error.reason }
            : { code: 'undecodable', reason: firstLine(error) },
        );
      }
    },
  };
}
