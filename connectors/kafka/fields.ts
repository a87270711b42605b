import type { KafkaMessage } from 'kafkajs';

/** Attributes of a CloudEvent. */
export type Attributes = Readonly<Record<string, unknown>>;

/** Finds a field of a record: in its decoded value, its CloudEvents attributes or the record itself. */
export type Getter = (
  value: unknown,
  message: KafkaMessage,
  attributes: Attributes | undefined,
  key: unknown,
) => unknown;

const isObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null;

/** Names that a path may still have behind a value: the branch of an Avro union, the field of a Protobuf wrapper. */
const wrappers = new Set(['boolean', 'int', 'long', 'float', 'double', 'bytes', 'string', 'value']);

/** The value at a path of own fields and indexes. */
function at(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const segment of path) {
    if (!isObject(found)) return search(value, path, 0);
    found = found[segment];
  }
  return found === undefined ? search(value, path, 0) : found;
}

/** As `at`, where names have dots in them, and where the path names the record of an Avro union. */
function search(value: unknown, path: readonly string[], from: number): unknown {
  if (from === path.length) return value;
  if (!isObject(value)) return from === path.length - 1 && wrappers.has(path[from]!) ? value : undefined;
  const { type } = (value.constructor ?? {}) as { readonly type?: { readonly name?: unknown } };
  for (let to = from + 1; to <= path.length; to++) {
    const name = path.slice(from, to).join('.');
    const inside = Object.hasOwn(value, name)
      ? search(value[name], path, to)
      : name === type?.name
        ? search(value, path, to)
        : undefined;
    if (inside !== undefined) return inside;
  }
  return undefined;
}

const text = (value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString() : value);

/**
 * A path as a getter: `a.b.0` in the value, or behind `$key`, `$headers`, `$ce` (CloudEvents; `$ce.uid` is their source
 * and id together) and `$timestamp`. A name may have dots in it.
 */
export function compile(path: string): Getter {
  const segments = path.split('.');
  const [first = '', ...rest] = segments;
  switch (first) {
    case '$timestamp':
      return (_value, message) => Number(message.timestamp);
    case '$key':
      return (_value, _message, _attributes, key) => at(key, rest);
    case '$headers':
      return (_value, message) => text(message.headers?.[rest.join('.')]);
    case '$ce':
      if (rest[0] === 'uid') return (_value, _message, ce) => ce && `${String(ce.source)}#${String(ce.id)}`;
      return (_value, _message, ce) => at(ce, rest);
    default:
      // The common case, without a loop.
      if (rest.length === 0) return value => (isObject(value) ? value[first] : undefined);
      return value => at(value, segments);
  }
}
