import { createWriteStream } from 'node:fs';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { renameDurably, syncPath } from './durable.js';

/** An array of a NumPy archive. */
export interface NpyArray {
  readonly name: string;
  /** NumPy's name of the type, as `<i4`. */
  readonly dtype: '<i4' | '<i8' | '<f8' | `|S${number}`;
  /** Sizes of the axes; none for a single value. */
  readonly shape: readonly number[];
  /** Its bytes in order, produced when they are written. */
  readonly chunks: () => Iterable<Uint8Array>;
}

/** Bytes of a header are a multiple of this. */
const headerUnit = 64;

/** The header of an array of format 1.0 (NumPy Enhancement Proposal 1). */
function headerOf({ dtype, shape }: NpyArray): Buffer {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${axes}), }`;
  const length = Math.ceil((10 + text.length + 1) / headerUnit) * headerUnit - 10;
  const header = Buffer.alloc(10 + length, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(length, 8);
  header.write(text, 10, 'latin1');
  header.write('\n', 10 + length - 1);
  return header;
}

const itemBytes = (dtype: NpyArray['dtype']): number => Number(dtype.slice(2));

/**
 * Writes an uncompressed archive that `numpy.load` and `scipy.sparse.load_npz` read. It appears when it is whole; until
 * then it is in the directory `scratch`.
 */
export async function writeNpz(path: string, scratch: string, arrays: readonly NpyArray[]): Promise<void> {
  const temporary = join(scratch, basename(path));
  const zip = new ZipFile();
  for (const array of arrays) {
    const header = headerOf(array);
    const size = header.length + itemBytes(array.dtype) * array.shape.reduce((a, b) => a * b, 1);
    function* bytes() {
      yield header;
      // the stream may hold a chunk after the producer has gone on
      for (const chunk of array.chunks()) yield Buffer.from(chunk);
    }
    zip.addReadStreamLazy(`${array.name}.npy`, { compress: false, size, mtime: new Date(1980, 0, 1) }, done =>
      done(null, Readable.from(bytes())),
    );
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(temporary));
  await syncPath(temporary);
  await renameDurably(temporary, path);
}
