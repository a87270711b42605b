import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { StageError } from '../errors.js';
import { writeAll, writeWhole } from './safetensors.js';
import { type Dtype, dtypeBytes, encodeHeader } from './safetensors-header.js';

/** Bytes that are copied at a time. */
const copyBytes = 1 << 22;

/** A tensor that grows in a file of its own. */
interface Growing {
  readonly dtype: Dtype;
  readonly path: string;
  readonly fd: number;
  bytes: number;
}

/**
 * Tensors that do not fit the memory. They grow piece by piece, each in a file beside `path`, and may be read as they grow;
 * at the end `finish` puts those that it names together. Close it: that removes the files.
 */
export class TensorSpool {
  readonly #path: string;
  readonly #tensors = new Map<string, Growing>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Appends to a tensor of one dimension, which begins with that. */
  append(name: string, dtype: Dtype, piece: ArrayBufferView): void {
    let tensor = this.#tensors.get(name);
    if (!tensor) {
      const path = `${this.#path}.${process.pid}.${name}.tmp`;
      tensor = { dtype, path, fd: openSync(path, 'w+'), bytes: 0 };
      this.#tensors.set(name, tensor);
    }
    writeAll(tensor.fd, new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
    tensor.bytes += piece.byteLength;
  }

  /** Fills `target` with what a tensor has from its element `from` on. */
  read(name: string, from: number, target: ArrayBufferView): void {
    const tensor = this.#tensor(name);
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    this.#copy(tensor, from * dtypeBytes[tensor.dtype], bytes);
  }

  /** Writes the safetensors file that `writeSafetensors` would write of tensors in this order. */
  finish(names: readonly string[], metadata: Readonly<Record<string, string>>): void {
    const tensors = names
      .map(name => ({ name, tensor: this.#tensor(name) }))
      .sort((a, b) => dtypeBytes[b.tensor.dtype] - dtypeBytes[a.tensor.dtype])
      .map(({ name, tensor }) => ({ ...tensor, name, shape: [tensor.bytes / dtypeBytes[tensor.dtype]] }));
    const piece = new Uint8Array(copyBytes);
    writeWhole(this.#path, fd => {
      writeAll(fd, encodeHeader(tensors, metadata));
      for (const tensor of tensors) {
        for (let at = 0; at < tensor.bytes; at += copyBytes) {
          const part = piece.subarray(0, Math.min(copyBytes, tensor.bytes - at));
          this.#copy(tensor, at, part);
          writeAll(fd, part);
        }
        this.remove(tensor.name);
      }
    });
  }

  /** Removes the file of a tensor that nobody reads again. */
  remove(name: string): void {
    const { fd, path } = this.#tensor(name);
    this.#tensors.delete(name);
    closeSync(fd);
    rmSync(path);
  }

  close(): void {
    for (const name of [...this.#tensors.keys()]) this.remove(name);
  }

  #tensor(name: string): Growing {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new StageError('INTERNAL', `no tensor ${name} was begun`);
    return tensor;
  }

  #copy({ fd, path }: Growing, position: number, target: Uint8Array): void {
    for (let at = 0; at < target.length; ) {
      const got = readSync(fd, target, at, Math.min(copyBytes, target.length - at), position + at);
      if (got === 0)
        throw new StageError('INTERNAL', `${path}: it ends before byte ${position + target.length}`);
      at += got;
    }
  }
}
