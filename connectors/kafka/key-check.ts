/** Users that are watched; the others go unwatched, so memory is bounded. */
const mostUsers = 1 << 16;

/**
 * Notices users whose records come in more than one partition: their topic is not keyed by user, so their events are
 * in no order and, with shards, would be in several states. Exact for the first 65,536 users seen.
 */
export class KeyCheck {
  readonly #home = new Map<unknown, string>();
  readonly #strays = new Set<unknown>();
  #said = 0;
  #example = '';

  /** Takes note of `users[from …]`, which came in `partition`. */
  add(partition: string, users: readonly unknown[], from: number): void {
    for (let k = from; k < users.length; k++) {
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
