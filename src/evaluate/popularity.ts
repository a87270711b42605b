/** Popularity of items in buckets, and how far it has shifted. */

const buckets = 10;
/** χ² of nine degrees of freedom passes this once in a thousand times. */
const chance = 27.877;

/**
 * The bucket of each item by how many users have it: bucket 0 has the most popular items, with a tenth of all
 * interactions, and so on. Items of as many users share a bucket, so that one may hold more than a tenth, another nothing.
 */
export function popularityBuckets(users: Int32Array): Uint8Array {
  const ascending = users.slice().sort();
  const total = ascending.reduce((sum, c) => sum + c, 0);
  /** Of each bucket, the fewest users of an item in it or in one before it. */
  const least = new Int32Array(buckets).fill(2 ** 31 - 1);
  let before = 0;
  for (let r = ascending.length - 1; r >= 0; ) {
    const c = ascending[r]!;
    least.fill(c, Math.min(buckets - 1, Math.floor((buckets * before) / Math.max(1, total))));
    for (; r >= 0 && ascending[r] === c; r--) before += c;
  }
  return Uint8Array.from(users, c => least.findIndex(fewest => c >= fewest));
}

/** The interactions of the items in each bucket; items behind the end of `bucketOf` count nowhere. */
export function interactionsIn(bucketOf: Uint8Array, users: Int32Array): number[] {
  const sums = new Array<number>(buckets).fill(0);
  for (let i = 0; i < Math.min(bucketOf.length, users.length); i++) sums[bucketOf[i]!]! += users[i]!;
  return sums;
}

/**
 * The population stability index Σ_b (q_b − p_b) ln(q_b / p_b) of two counts by bucket, with p and q as their shares after
 * half a count more in each. Below 0.1 is usual, above 0.25 a shift (Siddiqi, Credit Risk Scorecards, 2006). It
 * is 0 while it may be chance: for samples of N and M of one distribution, PSI · NM / (N + M) is about χ² (Yurdakul and
 * Naranjo, Statistical properties of the population stability index, 2020, section 3).
 */
export function stabilityIndex(before: readonly number[], since: readonly number[]): number {
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  const [n, m] = [sum(before), sum(since)];
  let index = 0;
  before.forEach((count, b) => {
    const p = (count + 0.5) / (n + buckets / 2);
    const q = (since[b]! + 0.5) / (m + buckets / 2);
    index += (q - p) * Math.log(q / p);
  });
  return index * ((n * m) / Math.max(1, n + m)) > chance ? index : 0;
}
