import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { StageError } from '../errors.js';
import type { Kernels } from '../kernels.js';

/** A byte address in the kernels' memory. */
export type Address = number;

const PAGE = 65536;
/** Pages that 32-bit addresses reach. */
const MAX_PAGES = 65536;
/** Every allocation starts a cache line, so that threads never share one by accident. */
const ALIGN = 64;

/** Bytes that an allocation takes: `bytes`, rounded up to whole cache lines. */
export const aligned = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/** Whether a sum of this magnitude fits int32. */
export const fitsInt32 = (magnitude: number): boolean => magnitude <= 0x7fffffff;

let compiled: WebAssembly.Module | undefined;

/** The compiled kernels; reading and compiling happens once a thread. */
export function kernelModule(): WebAssembly.Module {
  if (compiled) return compiled;
  // V8 cannot replace Liftoff code inside a running call, and many kernels are called once: compile with TurboFan from
  // the start, each function when it is first called.
  setFlagsFromString('--no-liftoff');
  setFlagsFromString('--wasm-lazy-compilation');
  compiled = new WebAssembly.Module(readFileSync(new URL('../kernels.wasm', import.meta.url)));
  return compiled;
}

/** Instantiates the kernels over a shared memory. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
}

/**
 * The kernels' shared memory as a stack: `mark` and `release` bracket what a stage allocates. It grows on demand
 * up to its budget; beyond that an allocation throws `MEMORY_BUDGET`. Untouched pages cost nothing.
 *
 * Typed arrays of an allocation stay valid while the memory grows, until it is released.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly kernels: Kernels;
  readonly limit: number;
  /** Most bytes in use so far. */
  peak: number;
  #top: Address;
  /** Buffers handed out: growing makes a new one over the same bytes. */
  readonly #buffers = new WeakSet<ArrayBufferLike>();

  constructor(memoryBytes: number = MAX_PAGES * PAGE) {
    this.module = kernelModule();
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared: true });
    this.kernels = instantiate(this.module, this.memory);
    this.#top = aligned(this.kernels.heapBase());
    this.limit = Math.min(MAX_PAGES * PAGE, this.#top + memoryBytes);
    this.peak = 0;
  }

  /** Bytes in use. */
  get used(): number {
    return this.#top - aligned(this.kernels.heapBase());
  }

  mark(): Address {
    return this.#top;
  }

  /** Frees everything that was allocated since `mark`. */
  release(mark: Address): void {
    this.#top = mark;
  }

  /** `bytes` of uninitialized memory for `what`, on a cache line of its own. */
  bytes(bytes: number, what: string): Address {
    const at = this.#top;
    const end = aligned(at + bytes);
    if (end > this.limit) {
      throw new StageError(
        'MEMORY_BUDGET',
        `${what} needs ${bytes} bytes, expected at most ${Math.max(0, this.limit - at)} of the ${this.limit} left`,
      );
    }
    const missing = end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    this.#top = end;
    this.peak = Math.max(this.peak, this.used);
    return at;
  }

  /** As `bytes`, all zero. */
  zeros(bytes: number, what: string): Address {
    const at = this.bytes(bytes, what);
    this.u8(at, bytes).fill(0);
    return at;
  }

  /** A copy of `array`, or address 0 for none. An array that lies in this memory already is not copied. */
  copy(array: Int32Array | Float32Array | Float64Array | undefined, what: string): Address {
    if (array === undefined) return 0;
    if (this.#buffers.has(array.buffer)) return array.byteOffset;
    return this.copyBytes(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), what);
  }

  copyBytes(bytes: Uint8Array, what: string): Address {
    const at = this.bytes(bytes.length, what);
    this.u8(at, bytes.length).set(bytes);
    return at;
  }

  /** Frees everything that was allocated since `mark` except these arrays, which move down to `mark` in this order. */
  keep<T extends readonly (Int32Array | Float32Array)[]>(mark: Address, arrays: T, what: string): T {
    this.release(mark);
    return arrays.map(array => {
      const to = this.bytes(array.byteLength, what);
      this.u8(to, array.byteLength).set(this.u8(array.byteOffset, array.byteLength));
      return array instanceof Int32Array ? this.i32(to, array.length) : this.f32(to, array.length);
    }) as unknown as T;
  }

  u8(at: Address, length: number): Uint8Array {
    return new Uint8Array(this.#buffer(), at, length);
  }

  i32(at: Address, length: number): Int32Array {
    return new Int32Array(this.#buffer(), at, length);
  }

  f32(at: Address, length: number): Float32Array {
    return new Float32Array(this.#buffer(), at, length);
  }

  f64(at: Address, length: number): Float64Array {
    return new Float64Array(this.#buffer(), at, length);
  }

  i64(at: Address, length: number): BigInt64Array {
    return new BigInt64Array(this.#buffer(), at, length);
  }

  #buffer(): SharedArrayBuffer {
    const buffer = this.memory.buffer as unknown as SharedArrayBuffer;
    this.#buffers.add(buffer);
    return buffer;
  }
}
