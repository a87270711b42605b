/** Where the parts of a record are found while it is mapped. One is used for all records, so that none is made for each. */
export interface Given {
  /** The decoded value, without its envelope; of a flat reader the fields that it has found. */
  value: unknown;
  /** The element of the array that `each` names. */
  element: unknown;
  /** The value with its envelope. */
  envelope: unknown;
  key: unknown;
  headers: Readonly<Record<string, unknown>> | undefined;
  /** Attributes of a CloudEvent. */
  attributes: Readonly<Record<string, unknown>> | undefined;
  /** The record's own time, epoch ms. */
  timestamp: string | number;
  /** What a change of a row is: c, r, u or d. */
  change: string | undefined;
}

/** Finds a part of a record. */
export type Getter = (given: Given) => unknown;

/** Where paths may begin; without one of them, in the value. */
const roots = ['$key', '$headers', '$ce', '$each', '$envelope', '$timestamp'] as const;
type Root = 'value' | 'key' | 'headers' | 'ce' | 'each' | 'envelope' | 'timestamp';

/** A parsed path: `lines[0].sku` has the segments lines, 0, sku. */
export interface Path {
  readonly root: Root;
  readonly segments: readonly string[];
}

/** A name of a path: up to a dot or bracket, or quoted in brackets, where it may have any character but its quote. */
const segment = /\.?\[(?:"([^"]+)"|'([^']+)'|(\d+))\]|(?:^|\.)([^.[\]]+)/y;

/**
 * Parses `a.b.0`, `a['name.with.dots']` and `lines[0]`, in the value or behind a root such as `$key`.
 *
 * @throws Error for a text that is no path.
 */
export function parsePath(text: string): Path {
  const segments: string[] = [];
  for (segment.lastIndex = 0; segment.lastIndex < text.length; ) {
    const at = segment.lastIndex;
    const found = segment.exec(text);
    if (!found)
      throw new Error(
        `expected a path such as a.b, a['x.y'] or a[0], found ${JSON.stringify(text.slice(at))}`,
      );
    segments.push((found[1] ?? found[2] ?? found[3] ?? found[4])!);
  }
  const isRoot = (roots as readonly string[]).includes(segments[0]!) && text.startsWith('$');
  return isRoot
    ? { root: segments[0]!.slice(1) as Root, segments: segments.slice(1) }
    : { root: 'value', segments };
}

export const isObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null;

/** Names that a path may still have behind a value: the branch of an Avro union, the field of a Protobuf wrapper. */
const wrappers = new Set(['boolean', 'int', 'long', 'float', 'double', 'bytes', 'string', 'value']);

/** The value at a path of own fields and indexes. */
function at(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (!isObject(found)) return search(value, path, 0);
    found = found[name];
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

/** A path as a getter in decoded values. `$ce.uid` is the source and the id of a CloudEvent together. */
export function getterOf({ root, segments }: Path): Getter {
  const [first = ''] = segments;
  switch (root) {
    case 'timestamp':
      return given => Number(given.timestamp);
    case 'key':
      return given => at(given.key, segments);
    case 'each':
      if (segments.length === 1) return ({ element: e }) => (isObject(e) ? e[first] : undefined);
      return given => at(given.element, segments);
    case 'envelope':
      return given => at(given.envelope, segments);
    case 'headers':
      return given => text(given.headers?.[segments.join('.')]);
    case 'ce':
      if (first === 'uid') return ({ attributes: ce }) => ce && `${String(ce.source)}#${String(ce.id)}`;
      return given => at(given.attributes, segments);
    default:
      // The common case, without a loop.
      if (segments.length === 1) return ({ value }) => (isObject(value) ? value[first] : undefined);
      return given => at(given.value, segments);
  }
}
