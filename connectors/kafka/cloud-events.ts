import type { KafkaMessage } from 'kafkajs';
import type { Given } from '../../src/mapping/index.js';
import { Undecodable } from '../../src/mapping/undecodable.js';
import { parseJson } from './payloads.js';

/** The data and the attributes of a CloudEvent, in either of its content modes; `data` reads the bytes of the data. */
export function openCloudEvent(
  message: KafkaMessage,
  data: (bytes: Buffer) => unknown,
): [unknown, Given['attributes']] {
  const headers = message.headers ?? {};
  const header = (name: string): string | undefined => headers[name]?.toString();
  const type = header('content-type') ?? '';
  const value = message.value!;
  let attributes: Record<string, unknown>;
  let body: () => unknown;
  if (header('ce_specversion') !== undefined) {
    const named = Object.keys(headers).filter(name => name.startsWith('ce_'));
    attributes = Object.fromEntries(named.map(name => [name.slice(3), header(name)]));
    body = () => data(value);
  } else if (type.startsWith('application/cloudevents+json') || type === '') {
    attributes = (parseJson(value, 'value') ?? {}) as Record<string, unknown>;
    const { data: inside, data_base64: bytes } = attributes;
    body = () => (typeof bytes === 'string' ? data(Buffer.from(bytes, 'base64')) : inside);
  } else {
    throw new Undecodable(
      'cloudevent-invalid',
      `expected a CloudEvent, found content-type ${type.slice(0, 60)}`,
    );
  }
  for (const name of ['specversion', 'id', 'source', 'type']) {
    if (typeof attributes[name] !== 'string' || attributes[name] === '')
      throw new Undecodable('cloudevent-invalid', `CloudEvent: expected the attribute ${name}, found none`);
  }
  return [body(), attributes];
}
