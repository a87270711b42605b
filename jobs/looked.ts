import type { Source } from '../src/contracts/index.js';

/** How long jobs wait for sources that have much to give. */
const longestMs = 60_000;

/** Which of some sources have been read to their present end, or could not be read, since the start. */
export class Looked {
  readonly #sources: readonly Source[];
  readonly #at = new Set<Source>();
  #end = (): void => {};
  /** Resolves when all sources have been looked at, at the latest a minute after the start, or on a stop. */
  readonly atAll: Promise<void>;

  constructor(sources: readonly Source[], stop: AbortSignal) {
    this.#sources = sources;
    this.atAll = new Promise(done => {
      this.#end = done;
    });
    setTimeout(this.#end, longestMs).unref();
    if (stop.aborted || this.complete) this.#end();
    else stop.addEventListener('abort', this.#end, { once: true });
  }

  /** Whether all have been. */
  get complete(): boolean {
    return this.#at.size === this.#sources.length;
  }

  add(source: Source): void {
    this.#at.add(source);
    if (this.complete) this.#end();
  }
}
