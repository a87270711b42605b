import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Bell } from '../../src/runtime/bell.js';
import { standardInput } from './options.js';

/**
 * The bytes of a pipe as they come. Nothing is read before somebody asks: a writer waits as soon as the pipe is full. It
 * stays open until the process ends, because what was read from it nobody can read again.
 */
export class Pipe {
  readonly #stream: Readable;
  readonly #bell = new Bell();
  #failure: Error | undefined;
  #ended = false;

  constructor(path: string) {
    this.#stream = path === standardInput ? process.stdin : namedPipe(path);
    // Who waits for bytes keeps the process alive by the timer of the wait.
    if (this.#stream instanceof Socket) this.#stream.unref();
    const ring = (): void => this.#bell.ring();
    this.#stream.on('readable', ring);
    this.#stream.on('end', () => {
      this.#ended = true;
      ring();
    });
    this.#stream.on('error', error => {
      this.#failure = error;
      ring();
    });
  }

  /** Whether all writers have closed it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The next bytes; `undefined` at the end, if none come for `ms`, and after `signal` aborts. */
  async next(ms: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    const deadline = Date.now() + ms;
    for (;;) {
      if (this.#failure) throw this.#failure;
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk !== null) return chunk;
      const left = deadline - Date.now();
      if (this.#ended || left <= 0 || signal?.aborted) return undefined;
      await this.#bell.wait(left, signal);
    }
  }
}

/** Opened also to write, so that it does not end between one writer and the next. */
function namedPipe(path: string): Readable {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false });
}
