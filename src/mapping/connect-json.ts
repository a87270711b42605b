import { connectTimes, decimalOf, instants } from './logical-types.js';

/** A schema as Kafka Connect's JSON converter writes it beside the payload. */
interface ConnectSchema {
  readonly type?: unknown;
  readonly name?: unknown;
  readonly field?: unknown;
  readonly parameters?: { readonly scale?: unknown };
  readonly fields?: readonly ConnectSchema[];
  readonly items?: ConnectSchema;
}

const isObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null;
const base64 = (x: unknown): Buffer => Buffer.from(String(x), 'base64');

function convert(schema: ConnectSchema, x: unknown): unknown {
  if (x === null || x === undefined || typeof schema !== 'object' || schema === null) return x;
  const { name, parameters, fields, items } = schema;
  if (name === 'org.apache.kafka.connect.data.Decimal' && typeof x === 'string')
    return decimalOf(base64(x), Number(parameters?.scale ?? 0));
  if (name === 'io.debezium.data.VariableScaleDecimal' && isObject(x))
    return decimalOf(base64(x.value), Number(x.scale));
  const time = typeof name === 'string' && Object.hasOwn(connectTimes, name) ? connectTimes[name] : undefined;
  if (time && (typeof x === 'number' || typeof x === 'bigint')) return instants[time](x);
  if (Array.isArray(fields) && isObject(x)) {
    for (const field of fields) {
      const key = isObject(field) ? String(field.field) : '';
      if (Object.hasOwn(x, key)) x[key] = convert(field, x[key]);
    }
  } else if (items && Array.isArray(x)) return x.map(y => convert(items, y));
  return x;
}

/** A value of Kafka Connect's JSON converter with its decimals as numbers and its times as dates; others as they are. */
export function convertConnect(value: unknown): unknown {
  if (!isObject(value) || !isObject(value.schema) || !Object.hasOwn(value, 'payload')) return value;
  value.payload = convert(value.schema, value.payload);
  return value;
}
