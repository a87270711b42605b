import { StageError } from '../errors.js';
import type { Address, Arena } from '../runtime/arena.js';
import { addLoaded, checksumOf, openChecksum } from './checksum.js';
import { encodedBytes, type SegmentContent, type TensorFile, tensorBytes } from './segment-content.js';

/** Entries that are encoded at a time to find the facts of their columns, unless one column has more. */
const pieceEntries = 1 << 18;

type TensorPart = ReturnType<TensorFile['part']>;

/** The columns of an open file: column j has the entries `indptr[j]` … `indptr[j + 1]` − 1 of two tensors. */
interface CscFile {
  readonly file: TensorFile;
  readonly indices: TensorPart;
  readonly data: TensorPart;
  /** Bytes of a value. */
  readonly width: 4 | 8;
  readonly indptr: Float64Array;
  readonly lengths: Int32Array;
  /** Where the encoded columns begin, each with room for the longest code. */
  readonly offsets: Float64Array;
}

/** Hears the facts of column j: its diagonal entry, its sum of squares, its largest magnitude. */
type Seen = (j: number, facts: Float64Array) => void;

/**
 * The columns of a file of the first format: `indptr` I64[n + 1], `indices` I32[nnz] ascending within a column, `data`
 * I32 or F64[nnz], and a checksum for each. They are encoded as they are read.
 */
export function cscContent(file: TensorFile): SegmentContent {
  const csc = openCsc(file);
  const { lengths, offsets, indices, data } = csc;
  return {
    columns: lengths.map((_, j) => j),
    lengths,
    offsets,
    load: (arena, from, end, to) => encodeColumns(csc, arena, from, end, to),
    facts: arena => factsOf(csc, arena),
    checksum: arena =>
      [file.part('indptr'), indices, data].map(part => checksumOfPart(file, part, arena)).join(''),
  };
}

/** `STATE_CORRUPT` if the tensors do not fit each other. */
function openCsc(file: TensorFile): CscFile {
  const [indices, data] = [file.part('indices'), file.part('data')];
  const width = data.dtype === 'F64' ? 8 : 4;
  const indptr = Float64Array.from(new BigInt64Array(tensorBytes(file, 'indptr')), Number);
  const nnz = indptr[indptr.length - 1]!;
  const n = Number(/^\[(\d+)/.exec(file.header.metadata.shape ?? '')?.[1] ?? Number.NaN);
  if (indptr.length !== n + 1 || indices.bytes !== nnz * 4 || data.bytes !== nnz * width) {
    throw new StageError('STATE_CORRUPT', `segment ${file.path}: its shape does not fit its tensors`);
  }
  const lengths = Int32Array.from({ length: n }, (_, j) => indptr[j + 1]! - indptr[j]!);
  const offsets = new Float64Array(n + 1);
  for (let j = 0; j < n; j++) offsets[j + 1] = offsets[j]! + encodedBytes(lengths[j]!);
  return { file, indices, data, width, indptr, lengths, offsets };
}

/** Encodes the columns from … end − 1; `seen` hears of the facts of each. */
function encodeColumns(
  csc: CscFile,
  arena: Arena,
  from: number,
  end: number,
  to: Address,
  seen?: Seen,
): void {
  const { file, indices, data, width, indptr, lengths, offsets } = csc;
  const [lo, hi] = [indptr[from]!, indptr[end]!];
  const mark = arena.mark();
  const facts = arena.f64(arena.bytes(24, 'columns of a segment'), 3);
  const rows = arena.bytes(4 * (hi - lo), 'columns of a segment');
  const values = arena.bytes(width * (hi - lo), 'columns of a segment');
  file.read(indices.at + 4 * lo, arena.u8(rows, 4 * (hi - lo)));
  file.read(data.at + width * lo, arena.u8(values, width * (hi - lo)));
  const wide = width === 8 ? 1 : 0;
  for (let j = from; j < end; j++) {
    const count = lengths[j]!;
    if (count === 0) continue;
    const e = indptr[j]! - lo;
    const at = to + offsets[j]! - offsets[from]!;
    arena.kernels.encodeColumn(j, count, rows + 4 * e, values + width * e, wide, at, facts.byteOffset);
    seen?.(j, facts);
  }
  arena.release(mark);
}

/** Reads and encodes all columns, some at a time, for their facts. */
function factsOf(csc: CscFile, arena: Arena): ReturnType<SegmentContent['facts']> {
  const { indptr, offsets } = csc;
  const n = indptr.length - 1;
  const [diagonal, squares] = [new Float64Array(n), new Float64Array(n)];
  for (let from = 0; from < n; ) {
    let end = from + 1;
    while (end < n && indptr[end + 1]! - indptr[from]! <= pieceEntries) end++;
    const mark = arena.mark();
    const to = arena.bytes(offsets[end]! - offsets[from]!, 'columns of a segment');
    encodeColumns(csc, arena, from, end, to, (j, [d, s]) => {
      diagonal[j] = d!;
      squares[j] = s!;
    });
    arena.release(mark);
    from = end;
  }
  return { diagonal, squares };
}

function checksumOfPart(file: TensorFile, { at, bytes }: TensorPart, arena: Arena): string {
  const mark = arena.mark();
  const state = openChecksum(arena);
  addLoaded(arena, state, bytes, (done, size, to) => file.read(at + done, arena.u8(to, size)));
  const sum = checksumOf(arena, state);
  arena.release(mark);
  return sum;
}
