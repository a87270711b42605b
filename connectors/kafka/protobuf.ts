import protobuf from 'protobufjs';
import { operations } from '../../src/stages/events.js';

/** The message types of a file in the order of its text, as the registry's indexes count them. */
const messagesOf = (parent: protobuf.NamespaceBase): protobuf.Type[] =>
  parent.nestedArray.filter((o): o is protobuf.Type => o instanceof protobuf.Type);

function readVarint(bytes: Buffer, at: { offset: number }): number {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at.offset++];
    if (byte === undefined || factor > 2 ** 35) throw new Error('truncated message indexes');
    value += (byte & 127) * factor;
    if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

const wrapper = /^\.google\.protobuf\.(Double|Float|U?Int64|U?Int32|Bool|String|Bytes)Value$/;

/** A message with its timestamps as dates, which keep `seconds` and `nanos`, and its wrappers as what they wrap. */
function unwrapped(type: protobuf.Type, message: Record<string, unknown>): unknown {
  if (type.fullName === '.google.protobuf.Timestamp') {
    const ms = Number(message.seconds) * 1000 + Math.floor(Number(message.nanos) / 1e6);
    return Object.assign(new Date(ms), message);
  }
  if (wrapper.test(type.fullName)) return message.value;
  for (const { name, resolvedType, map } of type.fieldsArray) {
    const x = message[name];
    if (!(resolvedType instanceof protobuf.Type) || typeof x !== 'object' || x === null) continue;
    const one = (y: unknown) => unwrapped(resolvedType, y as Record<string, unknown>);
    if (Array.isArray(x)) message[name] = x.map(one);
    else if (map) for (const [key, y] of Object.entries(x)) (x as Record<string, unknown>)[key] = one(y);
    else message[name] = one(x);
  }
  return message;
}

/** Names of enumerations for an operation: OP_REMOVE, REMOVE and remove of `enum Op` are `remove`. */
function noteOperations(parent: protobuf.NamespaceBase, symbols: Map<string, string | undefined>): void {
  for (const o of parent.nestedArray) {
    if (o instanceof protobuf.Enum) {
      const prefix = `${o.name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()}_`;
      for (const name of Object.keys(o.values)) {
        const short = (name.startsWith(prefix) ? name.slice(prefix.length) : name).toLowerCase();
        if (short === 'unspecified') symbols.set(name, undefined);
        else if (operations.some(op => op === short)) symbols.set(name, short);
      }
    } else if (o instanceof protobuf.Namespace) noteOperations(o, symbols);
  }
}

/**
 * A reader for payloads of a schema, behind the indexes of their message; `references` are the texts it refers to.
 * Notes in `symbols` what its enumerations call an operation.
 */
export function protobufReader(
  text: string,
  references: readonly string[],
  symbols: Map<string, string | undefined>,
): (payload: Buffer) => unknown {
  const root = new protobuf.Root();
  for (const name of ['any', 'duration', 'empty', 'struct', 'timestamp', 'wrappers']) {
    const known = protobuf.common.get(`google/protobuf/${name}.proto`);
    if (known?.nested) root.addJSON(known.nested);
  }
  for (const reference of references) protobuf.parse(reference, root, { keepCase: true });
  const parsed = protobuf.parse(text, root, { keepCase: true });
  const top = parsed.package ? (root.lookup(parsed.package) as protobuf.Namespace) : root;
  root.resolveAll();
  noteOperations(root, symbols);
  // A package may be shared with its references: only the types of this text count.
  const own = new protobuf.Root();
  protobuf.parse(text, own, { keepCase: true });
  const ownTop = parsed.package ? (own.lookup(parsed.package) as protobuf.Namespace) : own;
  return payload => {
    const at = { offset: 0 };
    const count = readVarint(payload, at);
    const path = count === 0 ? [0] : Array.from({ length: count }, () => readVarint(payload, at));
    let type: protobuf.NamespaceBase = ownTop;
    const names = path.map(index => {
      const next: protobuf.Type | undefined = messagesOf(type)[index];
      if (!next) throw new Error(`the schema has no message ${path.join('.')}`);
      type = next;
      return next.name;
    });
    const message = names.reduce<protobuf.NamespaceBase>((t, name) => t.get(name) as protobuf.Type, top);
    const decoded = (message as protobuf.Type).decode(payload.subarray(at.offset));
    const object = (message as protobuf.Type).toObject(decoded, {
      longs: String,
      enums: String,
      defaults: true,
    });
    return unwrapped(message as protobuf.Type, object);
  };
}
