import { closeSync, fsyncSync, openSync, readSync } from 'node:fs';
import { StageError } from '../errors.js';

/** Element types this project writes, with their width in bytes. */
export const dtypeBytes = { U8: 1, F32: 4, F64: 8, I32: 4, I64: 8 } as const;
export type Dtype = keyof typeof dtypeBytes;

/** A tensor as the header declares it; `begin` and `end` are byte offsets behind the header. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Encodes a safetensors header: 8 bytes of little-endian length, then JSON padded with spaces to a multiple
 * of 8, or to `bytes` in all. Tensors lie behind it in the given order without gaps.
 */
export function encodeHeader(
  tensors: readonly { readonly name: string; readonly dtype: Dtype; readonly shape: readonly number[] }[],
  metadata: Readonly<Record<string, string>>,
  bytes?: number,
): Buffer {
  const entries: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + shape.reduce((product, d) => product * d, dtypeBytes[dtype]);
    entries[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const size = bytes ?? 8 + Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(size, ' ');
  header.writeBigUInt64LE(BigInt(size - 8), 0);
  json.copy(header, 8);
  return header;
}

/** A parsed header. */
export interface TensorHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the data begins in the file. */
  readonly start: number;
}

/**
 * Reads and checks the header of an open safetensors file of `bytes` bytes. Throws `STATE_CORRUPT` with the
 * file's name when the header is cut, is no JSON, or its tensors overlap, leave gaps or pass the file's end.
 */
export function parseHeader(fd: number, bytes: number, path: string): TensorHeader {
  const corrupt = (what: string): StageError => new StageError('STATE_CORRUPT', `${path}: ${what}`);
  const prefix = Buffer.alloc(8);
  if (readSync(fd, prefix, 0, 8, 0) < 8) throw corrupt(`expected a safetensors header, found ${bytes} bytes`);
  const length = Number(prefix.readBigUInt64LE());
  if (length > bytes - 8) throw corrupt(`header of ${length} bytes in a file of ${bytes}`);
  const text = Buffer.alloc(length);
  readSync(fd, text, 0, length, 8);
  const { tensors, metadata } = decodeHeader(text.toString(), corrupt);
  let at = 0;
  for (const [name, { dtype, shape, begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin)) {
    const expected = shape.reduce((product, d) => product * d, dtypeBytes[dtype]);
    if (end - begin !== expected) {
      throw corrupt(`tensor ${name}: ${end - begin} bytes for ${dtype} [${shape}], expected ${expected}`);
    }
    if (begin !== at) throw corrupt(`tensor ${name} starts at byte ${begin} of the data, expected ${at}`);
    at = end;
  }
  const start = 8 + length;
  if (start + at !== bytes) throw corrupt(`file of ${bytes} bytes, expected ${start + at}`);
  return { tensors, metadata, start };
}

// Checked by hand: compute threads read models, and a schema library takes longer to load than the thread itself.
function decodeHeader(text: string, corrupt: (what: string) => StageError): Omit<TensorHeader, 'start'> {
  const check = (holds: boolean, where: string, expected: string): void => {
    if (!holds) throw corrupt(`header: ${where}: expected ${expected}`);
  };
  const header = jsonOf(text);
  check(header !== undefined, 'whole', 'an object, found what is not JSON');
  check(isObject(header), 'whole', 'an object');
  const { __metadata__: metadata = {}, ...entries } = header as Readonly<Record<string, unknown>>;
  const texts = isObject(metadata) && Object.values(metadata).every(value => typeof value === 'string');
  check(texts, '__metadata__', 'an object of texts');
  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of Object.entries(entries)) {
    const { dtype, shape, data_offsets: offsets } = (isObject(entry) ? entry : {}) as TensorEntry;
    check(Object.hasOwn(dtypeBytes, String(dtype)), `${name}.dtype`, Object.keys(dtypeBytes).join(', '));
    check(areSizes(shape), `${name}.shape`, 'whole numbers ≥ 0');
    check(areSizes(offsets) && offsets.length === 2, `${name}.data_offsets`, 'two whole numbers ≥ 0');
    const [begin, end] = offsets as readonly [number, number];
    tensors.set(name, { dtype: dtype as Dtype, shape: shape as readonly number[], begin, end });
  }
  return { tensors, metadata: metadata as Readonly<Record<string, string>> };
}

type TensorEntry = Readonly<Partial<Record<'dtype' | 'shape' | 'data_offsets', unknown>>>;

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const areSizes = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every(size => Number.isSafeInteger(size) && size >= 0);

/** Undefined for what is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Makes a rename in `directory` durable. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
