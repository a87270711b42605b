import { textHash } from './content-hash.js';

/**
 * Which ids a publication had, in 8 bytes each. Two ids are taken for one with a chance of 2⁻⁵³ a pair; then a list
 * that should go stays.
 */
export class SeenIds {
  #hashes = new Float64Array(1024);
  #length = 0;
  #sorted = true;

  add(key: string): void {
    if (this.#length === this.#hashes.length) {
      const larger = new Float64Array(2 * this.#length);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes[this.#length++] = textHash(key);
    this.#sorted = false;
  }

  has(key: string): boolean {
    if (!this.#sorted) this.#hashes.subarray(0, this.#length).sort();
    this.#sorted = true;
    const hash = textHash(key);
    let [lo, hi] = [0, this.#length];
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if (this.#hashes[middle]! < hash) lo = middle + 1;
      else hi = middle;
    }
    return lo < this.#length && this.#hashes[lo] === hash;
  }
}
