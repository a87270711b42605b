/** Keeps a failure of `promise` from counting as unhandled until it is awaited, which still throws it. */
export function observed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Runs functions one at a time, in the order of the calls. The failure of one is its caller's alone. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `body` after everything that was added before has ended. */
  add<T>(body: () => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(body);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Waits until everything that was added has ended. */
  async drained(): Promise<void> {
    await this.#last;
  }
}
