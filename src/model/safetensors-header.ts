import { closeSync, fsyncSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';
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

const size = z.int().min(0);
const headerSchema = z.record(
  z.string(),
  z.object({
    dtype: z.enum(['U8', 'F32', 'F64', 'I32', 'I64']),
    shape: z.array(size),
    data_offsets: z.tuple([size, size]),
  }),
);
const metadataSchema = z.record(z.string(), z.string()).default({});

/** What `parseHeader` finds. */
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

function decodeHeader(text: string, corrupt: (what: string) => StageError) {
  try {
    const { __metadata__, ...rest } = z.record(z.string(), z.unknown()).parse(JSON.parse(text));
    const tensors = new Map<string, TensorInfo>();
    for (const [name, entry] of Object.entries(headerSchema.parse(rest))) {
      const [begin, end] = entry.data_offsets;
      tensors.set(name, { dtype: entry.dtype, shape: entry.shape, begin, end });
    }
    return { tensors, metadata: metadataSchema.parse(__metadata__) };
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    throw corrupt(`header: ${issue ? `${issue.path.join('.')}: ${issue.message}` : 'not JSON'}`);
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
