import type { GramianSize } from '../../gramian/columns.js';
import type { Interactions } from '../../gramian/interactions.js';
import {
  addGram,
  chunks,
  clear,
  type Dense,
  denseBytes,
  gather,
  mirror,
  multiply,
  rowsOf,
  type Sparse,
  type Square,
  squareBytes,
  zeroDense,
  zeroSquare,
} from '../../matrix/dense.js';
import type { Address, Arena } from '../../runtime/arena.js';
import { allocate, bytesOf } from '../../runtime/parts.js';
import { read, record, write } from '../../runtime/records.js';
import type { Threads } from '../../runtime/threads.js';

/** Users, or items, whose dense rows are in memory at a time. */
const STRIP = 4096;

/** X in both orders, and what a pass over it needs beside A and its gradient. */
export interface Passes {
  readonly users: number;
  readonly items: number;
  readonly X: Sparse;
  readonly Xt: Sparse;
  /** ‖x_u‖², F64[users] */
  readonly squares: Address;
  /** Where the entries of the current strip begin, for each user of it or each item. */
  readonly cursor: Address;
  readonly h: Address;
  readonly cosines: Address;
  readonly Y: Dense;
  readonly Z: Dense;
  /** AᵀA */
  readonly S: Square;
  /** Yᵀ diag(h) Y */
  readonly M: Square;
}

type PassesSize = Pick<GramianSize, 'users' | 'items' | 'entries' | 'valued'>;

/** Small parts of a pass over X. */
const passParts = ({ users, items, entries, valued }: PassesSize) => {
  const strip = stripOf(users, items);
  return {
    byRow: valued ? 4 * entries : 0,
    byColumn: valued ? 4 * entries : 0,
    squares: 8 * users,
    cursor: 4 * strip,
    h: 4 * strip,
    cosines: 8 * chunks(strip),
  };
};

/** Rows of a strip at most. */
const stripOf = (users: number, items: number): number => Math.min(STRIP, Math.max(users, items));

/** Bytes of `openPasses` for latents of a width in whole tiles, and of a pass. */
export const passesBytes = (size: PassesSize, width: number): number =>
  bytesOf(passParts(size)) +
  2 * denseBytes(stripOf(size.users, size.items), width) +
  2 * squareBytes(width) +
  4 * size.items;

/** The workspace of passes over X, for `width` latents. */
export function openPasses(arena: Arena, x: Interactions, width: number): Passes {
  const { users, items, entries } = x;
  const {
    indptr: Xp,
    positions: Xi,
    values: Xv,
    columns: Cp,
    user: Cu,
    rest: Cr,
  } = read(arena, 'Interactions', x.address);
  const at = allocate(arena, passParts(x), 'passes over X');
  const squares = arena.f64(at.squares, users);
  const indptr = arena.i32(Xp, users + 1);
  if (x.valued) floatValues(arena, entries, { Xv, Cr }, at);
  const values = x.valued ? arena.f32(at.byRow, entries) : undefined;
  for (let u = 0; u < users; u++) {
    let sum = 0;
    for (let e = indptr[u]!; e < indptr[u + 1]!; e++) sum += values ? values[e]! ** 2 : 1;
    squares[u] = sum;
  }
  const strip = stripOf(users, items);
  return {
    users,
    items,
    X: { rows: users, indptr: Xp, indices: Xi, values: x.valued ? at.byRow : 0 },
    Xt: { rows: items, indptr: Cp, indices: Cu, values: x.valued ? at.byColumn : 0 },
    ...at,
    Y: zeroDense(arena, strip, width, 'latents of users'),
    Z: zeroDense(arena, strip, width, 'latents of users'),
    S: zeroSquare(arena, width, 'latents × latents'),
    M: zeroSquare(arena, width, 'latents × latents'),
  };
}

/** The values of X as float32, by rows and by columns. */
function floatValues(
  arena: Arena,
  entries: number,
  { Xv, Cr }: { readonly Xv: Address; readonly Cr: Address },
  at: { readonly byRow: Address; readonly byColumn: Address },
): void {
  const values = arena.i32(Xv, entries);
  const rest = arena.i32(Cr, entries);
  const byColumn = arena.f32(at.byColumn, entries);
  arena.f32(at.byRow, entries).set(values);
  for (let e = 0; e < entries; e++) byColumn[e] = values[rest[e]! - 1]!;
}

/** Calls `visit` for the rows 0 … count in strips. */
export function strips(count: number, visit: (lo: number, hi: number) => void): void {
  for (let lo = 0; lo < count; lo += STRIP) visit(lo, Math.min(count, lo + STRIP));
}

const linesOf = ({ indptr, indices, values }: Sparse) => ({ indptr, indices, values });

/** Rows lo … of X. */
export type Strip = Sparse & { readonly lo: number; readonly record: Address };

/** Y += the strip's rows of XB. */
export function timesDense(arena: Arena, threads: Threads, p: Passes, X: Strip, B: Dense, Y: Dense): void {
  arena.i32(p.cursor, X.rows).set(arena.i32(X.indptr, X.rows));
  gather(threads, X, { cursor: p.cursor, first: 0, limit: p.items }, B, Y);
}

/** Rows of p.Y, zero at first, that `visit` fills for each strip of users; then out += Xᵀ of whatever it returns. */
export function throughUsers(
  arena: Arena,
  threads: Threads,
  p: Passes,
  out: Dense,
  visit: (strip: Strip, Y: Dense) => Dense,
): void {
  const mark = arena.mark();
  const lines = record(arena, 'Lines', linesOf(p.X), 'X');
  const cursors = arena.i32(arena.bytes(4 * p.items, 'cursors'), p.items);
  cursors.set(arena.i32(p.Xt.indptr, p.items));
  strips(p.users, (lo, hi) => {
    const Y = rowsOf(p.Y, 0, hi - lo);
    clear(arena, Y);
    const indptr = p.X.indptr + 4 * lo;
    write(arena, 'Lines', lines, { ...linesOf(p.X), indptr });
    const back = visit({ ...p.X, indptr, rows: Y.rows, lo, record: lines }, Y);
    write(arena, 'Lines', lines, linesOf(p.Xt));
    gather(
      threads,
      { ...p.Xt, record: lines },
      { cursor: cursors.byteOffset, first: lo, limit: hi },
      back,
      out,
    );
  });
  arena.release(mark);
}

/** C := AᵀA, both triangles. */
export function setGram(arena: Arena, threads: Threads, A: Dense, C: Square): void {
  arena.u8(C.address, squareBytes(C.width)).fill(0);
  addGram(arena, threads, A, 0, C);
  mirror(arena, C);
}

/**
 * For a strip of users with y = xA and z = yAᵀA: adds up Σ cos(x, x(AAᵀ − I)), makes Z the gradient by Y of its negative, and sets
 * `h` (F32, by row) to the factors of the part that goes through AᵀA.
 */
export function userTerms(
  arena: Arena,
  threads: Threads,
  p: Passes,
  lo: number,
  Y: Dense,
  Z: Dense,
  h: Address,
): number {
  const tasks = chunks(Y.rows);
  const args = [Y.rows, p.squares + 8 * lo, Y.address, Z.address, Y.width, h, p.cosines] as const;
  threads.run({ kernel: 'elsaUsers', tasks, args });
  let cosine = 0;
  for (const sum of arena.f64(p.cosines, tasks)) cosine += sum;
  return cosine;
}

/**
 * ELSA's loss −Σ_u cos(x_u, x_u(AAᵀ − I)) for A with rows of unit norm, and its gradient less the part that goes through AᵀA:
 * G += XᵀC, where C is the gradient by XA, while p.M becomes Yᵀ diag(h) Y, so that the whole is G + 2 A M.
 */
export function lossAndGradient(arena: Arena, threads: Threads, p: Passes, A: Dense, G: Dense): number {
  setGram(arena, threads, A, p.S);
  arena.u8(p.M.address, squareBytes(p.M.width)).fill(0);
  let cosine = 0;
  throughUsers(arena, threads, p, G, (X, Y) => {
    timesDense(arena, threads, p, X, A, Y);
    const Z = rowsOf(p.Z, 0, Y.rows);
    multiply(threads, Y, p.S, Z);
    cosine += userTerms(arena, threads, p, X.lo, Y, Z, p.h);
    addGram(arena, threads, Y, p.h, p.M);
    return Z;
  });
  mirror(arena, p.M);
  return -cosine;
}
