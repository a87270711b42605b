import type { KafkaMessage } from 'kafkajs';
import type { Given } from '../../src/mapping/index.js';
import { checkedAttributes, openStructured, parseJson } from '../../src/mapping/parse-json.js';
import { Undecodable } from '../../src/mapping/undecodable.js';

/** The data and the attributes of a CloudEvent, in either of its content modes; `data` reads the bytes of the data. */
export function openCloudEvent(
  message: KafkaMessage,
  data: (bytes: Buffer) => unknown,
): [unknown, Given['attributes']] {
  const headers = message.headers ?? {};
  const header = (name: string): string | undefined => headers[name]?.toString();
  const type = header('content-type') ?? '';
  const value = message.value!;
  if (header('ce_specversion') !== undefined) {
    const named = Object.keys(headers).filter(name => name.startsWith('ce_'));
    const attributes = checkedAttributes(
      Object.fromEntries(named.map(name => [name.slice(3), header(name)])),
    );
    return [data(value), attributes];
  }
  if (type.startsWith('application/cloudevents+json') || type === '')
    return openStructured(parseJson(value, 'value'), data);
  throw new Undecodable(
    'cloudevent-invalid',
    `expected a CloudEvent, found content-type ${type.slice(0, 60)}`,
  );
}
