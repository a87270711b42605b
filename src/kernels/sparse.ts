import { I32s, U8s, View } from './views';

/** A sparse matrix by columns or rows: `indices` and `values` of line j at indptr[j] … indptr[j + 1]. */
@unmanaged
export class Lines {
  indptr: I32s;
  indices: I32s;
  values: usize; // absent when all are 1
}

/**
 * Which of n rows are set, so that they can be read off in ascending order without sorting: a byte a row, and a
 * byte for every 256 of them. Bytes and not bits: setting one is a store that waits for nothing.
 */
@unmanaged
export class Rowset {}

const SET: u8 = 0x80;

/** Bytes of a rowset of n. */
@inline
export function rowsetBytes(n: i32): usize {
  const groups = <usize>((n + 255) >>> 8);
  return (groups << 8) + ((groups + 63) & ~63);
}

/** The rowset in scratch, behind n sums of `size` bytes, on a boundary of 64 bytes. */
@inline
export function rowsetAt(scratch: usize, n: i32, size: usize): Rowset {
  return changetype<Rowset>(scratch + ((<usize>n * size + 63) & ~63));
}

/** The bytes for 256 rows each, behind those of the rows. */
@inline
export function groupsOf(rows: Rowset, n: i32): U8s {
  return changetype<U8s>(changetype<usize>(rows) + (<usize>((n + 255) >>> 8) << 8));
}

@inline
export function add(rows: Rowset, groups: U8s, i: i32): void {
  changetype<U8s>(rows)[i] = SET;
  groups[i >>> 8] = SET;
}

// The set ones of 64 rows as a word; clears them.
@inline
function take(at: usize): u64 {
  const zero = i8x16.splat(0);
  let word: u64 = 0;
  for (let q = 0; q < 4; q++) {
    word |= (<u64>i8x16.bitmask(v128.load(at + (<usize>q << 4)))) << (q << 4);
    v128.store(at + (<usize>q << 4), zero);
  }
  return word;
}

/**
 * Writes the set rows in ascending order with their sums, those equal to `base` left out, and clears the set;
 * `keep` says that the sums need not be cleared as well. Returns how many there were. `indices` and `values` have
 * room for one more than are set.
 */
@inline
export function drain<A>(
  n: i32, rows: Rowset, a: View<A>, base: A, keep: bool, indices: I32s, values: View<A>,
): i32 {
  const groups = groupsOf(rows, n);
  let count = 0;
  for (let g = 0, end = (n + 255) >>> 8; g < end; g++) {
    if (groups[g] == 0) continue;
    groups[g] = 0;
    for (let first = g << 8, last = first + 256; first < last; first += 64) {
      let word = take(changetype<usize>(rows) + <usize>first);
      if (keep) {
        // Sums that only grow are not equal to the base. Three at a time, whether there are as many or not: how
        // many there are is hard to predict.
        const end = count + <i32>popcnt(word);
        for (let p = count; p < end; p += 3) {
          for (let q = 0; q < 3; q++) {
            const i = first + <i32>ctz(word);
            indices[p + q] = i;
            values[p + q] = a[i] - base;
            word &= word - 1;
          }
        }
        count = end;
        continue;
      }
      for (; word != 0; word &= word - 1) {
        const i = first | <i32>ctz(word);
        const sum = a[i] - base;
        a[i] = 0;
        indices[count] = i;
        values[count] = sum;
        count += i32(sum != 0);
      }
    }
  }
  return count;
}
