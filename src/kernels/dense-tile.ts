/**
 * Dense matrices in tiles of 64 × 64. A tile lies in panels of P rows, two vectors wide (P = 4 for f64, 8 for f32): entry
 * (i, j) is at (i / P) · 64 P + j P + i mod P. So A Bᵀ reads both its factors in the order in which they lie, and nothing
 * is packed beforehand. Of a symmetric or lower triangular matrix only tiles (I, J), J ≤ I, are there, row by row.
 */
export const SIDE: i32 = 64;

/** Bytes of one column of a panel, for every type. */
export const COLUMN: usize = 32;
/** Bytes of a panel. */
export const PANEL: usize = 64 * COLUMN;

/** P, the rows of a panel. */
@inline
export function panelRows<T>(): i32 {
  return <i32>(COLUMN / sizeof<T>());
}

/** Bytes of a tile. */
@inline
export function tileBytes<T>(): usize {
  return <usize>(SIDE * SIDE) << alignof<T>();
}

/** Tile (I, J) of a lower triangle. */
@inline
export function tileAt<T>(tiles: usize, I: i32, J: i32): usize {
  return tiles + <usize>(((I * (I + 1)) >>> 1) + J) * tileBytes<T>();
}

/** The address of entry (i, j) of a tile. */
@inline
export function entryAt<T>(tile: usize, i: i32, j: i32): usize {
  const rows = panelRows<T>();
  return tile + <usize>(i / rows) * PANEL + <usize>j * COLUMN + <usize>(i % rows) * sizeof<T>();
}

// c ± Σ_k a[:, k] b[0 … 4, k]ᵀ, P × 4, for one panel a and four rows b of a panel
@inline
function block<T>(a: usize, b: usize, c: usize, minus: bool): void {
  let c00 = v128.splat<T>(0), c01 = v128.splat<T>(0), c02 = v128.splat<T>(0), c03 = v128.splat<T>(0);
  let c10 = v128.splat<T>(0), c11 = v128.splat<T>(0), c12 = v128.splat<T>(0), c13 = v128.splat<T>(0);
  for (const end = a + PANEL; a < end; a += COLUMN, b += COLUMN) {
    const a0 = v128.load(a), a1 = v128.load(a, 16);
    const b0 = v128.load_splat<T>(b), b1 = v128.load_splat<T>(b, sizeof<T>());
    c00 = v128.add<T>(c00, v128.mul<T>(a0, b0));
    c10 = v128.add<T>(c10, v128.mul<T>(a1, b0));
    c01 = v128.add<T>(c01, v128.mul<T>(a0, b1));
    c11 = v128.add<T>(c11, v128.mul<T>(a1, b1));
    const b2 = v128.load_splat<T>(b, 2 * sizeof<T>()), b3 = v128.load_splat<T>(b, 3 * sizeof<T>());
    c02 = v128.add<T>(c02, v128.mul<T>(a0, b2));
    c12 = v128.add<T>(c12, v128.mul<T>(a1, b2));
    c03 = v128.add<T>(c03, v128.mul<T>(a0, b3));
    c13 = v128.add<T>(c13, v128.mul<T>(a1, b3));
  }
  put<T>(c, c00, c10, minus);
  put<T>(c + COLUMN, c01, c11, minus);
  put<T>(c + 2 * COLUMN, c02, c12, minus);
  put<T>(c + 3 * COLUMN, c03, c13, minus);
}

@inline
function put<T>(c: usize, low: v128, high: v128, minus: bool): void {
  const c0 = v128.load(c), c1 = v128.load(c, 16);
  v128.store(c, minus ? v128.sub<T>(c0, low) : v128.add<T>(c0, low));
  v128.store(c, minus ? v128.sub<T>(c1, high) : v128.add<T>(c1, high), 16);
}

/** C ± A Bᵀ of tiles. */
@inline
export function addProduct<T>(A: usize, B: usize, C: usize, minus: bool): void {
  for (let q: usize = 0; q < 16; q++) {
    const row = q * 4 * sizeof<T>();
    const b = B + row / COLUMN * PANEL + row % COLUMN;
    for (let p: usize = 0, c = C + q * 4 * COLUMN; p < tileBytes<T>(); p += PANEL) block<T>(A + p, b, c + p, minus);
  }
}
