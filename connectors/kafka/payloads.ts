import type { IHeaders, KafkaMessage } from 'kafkajs';
import { convertConnect } from '../../src/mapping/connect-json.js';
import { parseJson } from '../../src/mapping/parse-json.js';
import { firstLine, Undecodable } from '../../src/mapping/undecodable.js';
import { describeUnframed, isFramed, payloadOf, schemaIdOf } from './framing.js';
import type { KafkaSourceOptions } from './options.js';
import { openRegistry } from './registry.js';

type Format = KafkaSourceOptions['format'] | 'text';

/** Reads values and keys in the formats of a source. */
export interface Payloads {
  /** Fetches the schemas of `messages`. */
  prepare(messages: readonly KafkaMessage[]): Promise<void>;
  /** The value of a record or of a CloudEvent's data; throws `Undecodable`. */
  value(bytes: Buffer, what: string, headers: IHeaders | undefined): unknown;
  /** The key of a record as `key` says, or its text; throws `Undecodable`. */
  key(message: KafkaMessage): unknown;
  /** An operation as `op` has it; enumerations may have other names for it. */
  operation(op: unknown): unknown;
}

/** How many parts a key of text must have, so that none of them was cut in two. */
function partsOf({ user, item, parts }: NonNullable<KafkaSourceOptions['key']>): number {
  return parts ?? 1 + Math.max(...[user, item].map(path => (/^\d+$/.test(path) ? Number(path) : 0)));
}

/** The parts of a key of text; throws `Undecodable` if there are more than are read. */
function textParts(bytes: Buffer, what: string, options: NonNullable<KafkaSourceOptions['key']>): string[] {
  const { separator } = options;
  const parts = bytes.toString().split(separator);
  const expected = partsOf(options);
  if (parts.length <= expected) return parts;
  throw new Undecodable(
    'key-ambiguous',
    `${what}: expected ${expected} parts, found ${parts.length}: ids with ${JSON.stringify(separator)} in them cannot be told apart`,
  );
}

/** Opens the formats of `options`, and the registry that they need. */
export function openPayloads(options: KafkaSourceOptions): Payloads {
  const { format, key: keyOptions } = options;
  const registry = options.registry && openRegistry(options.registry);
  const idBytes = options.registry?.idBytes ?? 4;

  /** Bytes in the wire format of the registry. */
  function framed(bytes: Buffer, what: string, as: Format, headers: IHeaders | undefined): unknown {
    if (!isFramed(bytes, idBytes)) {
      const found = describeUnframed(bytes, headers);
      throw new Undecodable(
        `${as}-unframed`,
        `${what}: expected a zero byte and a schema id, found ${found}`,
      );
    }
    const read = registry!.reader(schemaIdOf(bytes, idBytes));
    if (typeof read === 'string') throw new Undecodable('schema-unknown', `${what}: ${read}`);
    try {
      return read(payloadOf(bytes, idBytes));
    } catch (error) {
      throw new Undecodable(
        `${as}-invalid`,
        `${what}: does not fit its schema: ${firstLine(error).slice(0, 120)}`,
      );
    }
  }

  function parse(bytes: Buffer, what: string, as: Format, headers: IHeaders | undefined): unknown {
    if (as === 'text') return textParts(bytes, what, keyOptions!);
    if (as === 'json')
      return convertConnect(parseJson(bytes[0] === 0 ? payloadOf(bytes, idBytes) : bytes, what));
    return framed(bytes, what, as, headers);
  }

  return {
    async prepare(messages) {
      if (!registry) return;
      const ids = new Set<number>();
      const note = (bytes: Buffer | null, as: Format | undefined) => {
        if (bytes && (as === 'avro' || as === 'protobuf') && isFramed(bytes, idBytes))
          ids.add(schemaIdOf(bytes, idBytes));
      };
      for (const { key, value } of messages) {
        note(value, format);
        note(key, keyOptions?.format);
      }
      await registry.prepare(ids);
    },
    value: (bytes, what, headers) => parse(bytes, what, format, headers),
    key: ({ key, headers }) =>
      key && keyOptions ? parse(key, 'key', keyOptions.format, headers) : key?.toString(),
    operation: op => (typeof op === 'string' && registry?.symbols.has(op) ? registry.symbols.get(op) : op),
  };
}
