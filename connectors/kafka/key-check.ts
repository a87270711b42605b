/** Users that are watched; the others go unwatched, so memory is bounded. */
const mostUsers = 1 << 16;

/** Records that come at once of which a sample is enough. */
const manyRecords = 100;

/**
 * Notices users whose records come in more than one partition: their topic is not keyed by user, so their events are
 * in no order and, with shards, would be in several states. What it says is exact; it watches the first 65,536 users that it
 * meets.
 */
export class KeyCheck {
  readonly #home = new Map<unknown, string>();
  readonly #strays = new Set<unknown>();
  #said = 0;
  #example = '';

  /** Takes note of `users[from …]`, which came in `partition`: of every one, or of some where there are many. */
  add(partition: string, users: readonly unknown[], from: number): void {
    const step = users.length - from > manyRecords ? 8 : 1;
    for (let k = from; k < users.length; k += step) {
      const user = users[k];
      if (user === undefined) continue;
      const home = this.#home.get(user);
      if (home === partition || this.#strays.size >= mostUsers) continue;
      if (home !== undefined) {
        if (this.#strays.size === 0)
          this.#example = `${JSON.stringify(user)} came in ${home} and ${partition}`;
        this.#strays.add(user);
      } else if (this.#home.size < mostUsers) {
        this.#home.set(user, partition);
      }
    }
  }

  /** What there is to say: at the first such user, and whenever they have become ten times as many. */
  warning(): string | undefined {
    const found = this.#strays.size;
    if (found === 0 || found < 10 * this.#said) return undefined;
    this.#said = found;
    return `${found} ${found === 1 ? 'user has' : 'users have'} events in more than one partition (user ${this.#example}): produce with the user as the key, or shards will split histories`;
  }
}
