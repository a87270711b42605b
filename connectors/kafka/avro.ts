import avro from 'avsc';
import { connectTimes, decimalOf, instants } from '../../src/mapping/logical-types.js';

/** 64-bit integers as numbers while these are exact, as big integers beyond. */
const exactLong = avro.types.LongType.__with({
  fromBuffer(buffer: Buffer) {
    const x = buffer.readBigInt64LE();
    return Number.isSafeInteger(Number(x)) ? Number(x) : x;
  },
  toBuffer(x: number | bigint) {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(BigInt(x));
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (x: unknown) => typeof x === 'bigint' || Number.isSafeInteger(x),
  compare: (a: number | bigint, b: number | bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

/** A logical type that is only read. */
const reading = (from: (x: never) => unknown) =>
  class extends avro.types.LogicalType {
    protected override _fromValue(x: unknown): unknown {
      return from(x as never);
    }
    protected override _toValue(x: unknown): unknown {
      return x;
    }
  };

class Decimal extends avro.types.LogicalType {
  readonly #scale: number;
  constructor(schema: avro.Schema, options?: object) {
    super(schema, options);
    this.#scale = Number((schema as { scale?: unknown }).scale ?? 0);
  }
  protected override _fromValue(x: Buffer): unknown {
    return decimalOf(x, this.#scale);
  }
  protected override _toValue(x: unknown): unknown {
    return x;
  }
}

const logicalTypes = {
  decimal: Decimal,
  date: reading(instants.days),
  'timestamp-millis': reading(instants.millis),
  'timestamp-micros': reading(instants.micros),
  'timestamp-nanos': reading(instants.nanos),
  'local-timestamp-millis': reading(instants.millis),
  'local-timestamp-micros': reading(instants.micros),
  'local-timestamp-nanos': reading(instants.nanos),
};
const logicalOf = {
  days: 'date',
  millis: 'timestamp-millis',
  micros: 'timestamp-micros',
  nanos: 'timestamp-nanos',
};

/** A tap that reads an encoded value, as the types of avsc use it among each other. */
interface Reading {
  _read(tap: { readLong(): number }): unknown;
}

/** A union whose value is that of its branch, also where a reader could not tell the branches apart. */
class Union extends avro.types.WrappedUnionType implements Reading {
  _read(tap: { readLong(): number }): unknown {
    const index = tap.readLong();
    const branch = this.types[index] as unknown as Reading | undefined;
    if (!branch) throw new Error(`invalid union index: ${index}`);
    return branch._read(tap);
  }
}

/** The schema of a text; Debezium's times, which it tells by a name of its own, get the logical type they stand for. */
const schemaOf = (text: string): avro.Schema =>
  JSON.parse(text, (_, x) => {
    const time = x && typeof x === 'object' ? connectTimes[x['connect.name']] : undefined;
    return time && x.logicalType === undefined ? { ...x, logicalType: logicalOf[time] } : x;
  });

/** A reader for payloads of a schema; `references` are the texts it refers to, in their order. */
export function avroReader(text: string, references: readonly string[]): (payload: Buffer) => unknown {
  const options = {
    registry: { long: exactLong },
    logicalTypes,
    typeHook: (schema: unknown, opts: object) =>
      Array.isArray(schema)
        ? new (Union as unknown as new (schema: unknown, opts: object) => avro.Type)(schema, opts)
        : undefined,
  } as unknown as avro.ForSchemaOptions;
  for (const reference of references) avro.Type.forSchema(schemaOf(reference), options);
  const type = avro.Type.forSchema(schemaOf(text), options);
  return payload => type.fromBuffer(payload);
}
