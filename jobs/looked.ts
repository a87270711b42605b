import type { Source } from '../src/contracts/index.js';
import { Bell } from '../src/runtime/bell.js';

/** How long jobs wait for sources that have much to give. */
const longestMs = 60_000;

/** Which of some sources have been read to their present end, or could not be read, since the start. */
export class Looked {
  readonly #sources: readonly Source[];
  readonly #looks = new Map<Source, number>();
  readonly #bell = new Bell();
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
    return this.#looks.size === this.#sources.length;
  }

  add(source: Source): void {
    this.#looks.set(source, this.#count(source) + 1);
    if (this.complete) this.#end();
    this.#bell.ring();
  }

  #count = (source: Source): number => this.#looks.get(source) ?? 0;

  /**
   * Waits until all sources have given what they have now: a look that is under way may have begun before that, the next one
   * begins behind it. Waits no longer than a minute, or until a stop.
   */
  async again(stop: AbortSignal): Promise<void> {
    const deadline = Date.now() + longestMs;
    const wanted = this.#sources.map(source => [source, this.#count(source) + 2] as const);
    while (wanted.some(([source, looks]) => this.#count(source) < looks)) {
      const leftMs = deadline - Date.now();
      if (stop.aborted || leftMs <= 0) return;
      await this.#bell.wait(leftMs, stop);
    }
  }
}
