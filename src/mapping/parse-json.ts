import { parseExactJson } from '../stages/number.js';
import type { Given } from './path.js';
import { firstLine, Undecodable } from './undecodable.js';

/** JSON with all digits of its whole numbers; throws `Undecodable`. */
export function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return parseExactJson(bytes.toString());
  } catch (error) {
    throw new Undecodable('json-invalid', `${what}: expected JSON, found: ${firstLine(error).slice(0, 120)}`);
  }
}

/** The attributes of a CloudEvent, if it has those that every one has; throws `Undecodable`. */
export function checkedAttributes(attributes: Readonly<Record<string, unknown>>): Given['attributes'] {
  for (const name of ['specversion', 'id', 'source', 'type']) {
    if (typeof attributes[name] !== 'string' || attributes[name] === '')
      throw new Undecodable('cloudevent-invalid', `CloudEvent: expected the attribute ${name}, found none`);
  }
  return attributes;
}

/** The data and the attributes of a CloudEvent in structured mode; `data` reads bytes that it has as base64. */
export function openStructured(
  event: unknown,
  data: (bytes: Buffer) => unknown,
): [unknown, Given['attributes']] {
  const attributes = checkedAttributes((event ?? {}) as Readonly<Record<string, unknown>>);
  const { data: inside, data_base64: bytes } = attributes!;
  return [typeof bytes === 'string' ? data(Buffer.from(bytes, 'base64')) : inside, attributes];
}
