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

/** The value at a path of own fields and indexes. */
function at(value: unknown, path: readonly string[]): unknown {
  for (const segment of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[segment];
  }
  return value;
}

const text = (value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString() : value);

/**
 * A path as a getter: `a.b.0` in the value, or behind `$key`, `$headers`, `$ce` (CloudEvents; `$ce.uid` is their source
 * and id together) and `$timestamp`.
 */
export function compile(path: string): Getter {
  const [first = '', ...rest] = path.split('.');
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
      if (rest.length === 0)
        return value =>
          typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[first] : undefined;
      return value => at(value, [first, ...rest]);
  }
}
