const dayMs = 86_400_000;

/** A date or time that is known to be one: no unit has to be found out. */
export const instants = {
  days: (x: number | bigint) => new Date(Number(x) * dayMs),
  millis: (x: number | bigint) => new Date(Number(x)),
  micros: (x: number | bigint) => new Date(Math.floor(Number(x) / 1e3)),
  nanos: (x: number | bigint) => new Date(Math.floor(Number(x) / 1e6)),
} as const;

/** Times of Kafka Connect and Debezium by the name of their schema. */
export const connectTimes: Readonly<Record<string, keyof typeof instants>> = {
  'org.apache.kafka.connect.data.Date': 'days',
  'org.apache.kafka.connect.data.Timestamp': 'millis',
  'io.debezium.time.Date': 'days',
  'io.debezium.time.Timestamp': 'millis',
  'io.debezium.time.MicroTimestamp': 'micros',
  'io.debezium.time.NanoTimestamp': 'nanos',
};

/** unscaled · 10^−scale, big-endian in two's complement: whole numbers exactly, others as the nearest number. */
export function decimalOf(bytes: Uint8Array, scale: number): number | bigint {
  let unsigned = 0n;
  for (const byte of bytes) unsigned = (unsigned << 8n) | BigInt(byte);
  const unscaled = BigInt.asIntN(8 * bytes.length, unsigned);
  const unit = 10n ** BigInt(Math.abs(scale));
  if (scale > 0 && unscaled % unit !== 0n) return Number(`${unscaled}e-${scale}`);
  const whole = scale > 0 ? unscaled / unit : unscaled * unit;
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
}
