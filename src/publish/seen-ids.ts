/**
 * The set of ids that a publication had, in 8 bytes each. It holds hashes: two ids collide with a probability of 2⁻⁵³ a
 * pair. Then a list that should be deleted stays.
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

/** A hash of 53 bits, which a float64 holds exactly. */
function textHash(value: string): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let c = 0; c < value.length; c++) {
    const unit = value.charCodeAt(c);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff);
}
