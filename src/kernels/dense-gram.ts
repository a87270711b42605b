import { addProduct, entryAt, SIDE, tileBytes } from './dense-tile';
import { F32s, present } from './views';

// The tile of columns 64 I … of 64 rows of Y, transposed: row u of Y is column u of the tile; rows past `rows` are zero
@inline
function pack(Y: usize, stride: usize, u: i32, rows: i32, I: i32, h: F32s, tile: usize): void {
  for (let c = 0; c < SIDE; c++, tile += 32) {
    const there = u + c < rows;
    const y = Y + <usize>(u + c) * stride + (<usize>I << 8);
    const weight = f32x4.splat(there ? (present(h) ? h[u + c] : 1) : 0);
    for (let p: usize = 0; p < 8; p++) {
      const at = tile + (p << 11);
      v128.store(at, there ? f32x4.mul(weight, v128.load(y + (p << 5))) : weight);
      v128.store(at, there ? f32x4.mul(weight, v128.load(y + (p << 5), 16)) : weight, 16);
    }
  }
}

/**
 * C_IJ += Σ_u h_u y_u,I y_u,Jᵀ for one tile, J ≤ I, of C = Yᵀ diag(h) Y: `rows` rows of Y, row-major and 64 `count` wide, C a
 * square of `count` × `count` tiles, row by row; h absent where all are 1. Tiles above the diagonal are `mirror`'s. Scratch: two tiles.
 */
export function gram(task: i32, scratch: usize, rows: i32, Y: usize, h: F32s, C: usize, count: i32): void {
  let I = 0;
  for (; task > I; task -= I) I++;
  const J = task;
  const left = scratch, right = scratch + tileBytes<f32>();
  const stride = <usize>count << 8;
  const tile = C + <usize>(I * count + J) * tileBytes<f32>();
  for (let u = 0; u < rows; u += SIDE) {
    pack(Y, stride, u, rows, I, h, left);
    pack(Y, stride, u, rows, J, changetype<F32s>(0), right);
    addProduct<f32>(left, right, tile, false);
  }
}

/** C_JI := C_IJᵀ for the tiles J < I. */
export function mirror(C: usize, count: i32): void {
  for (let I = 1; I < count; I++) {
    for (let J = 0; J < I; J++) {
      const from = C + <usize>(I * count + J) * tileBytes<f32>();
      const to = C + <usize>(J * count + I) * tileBytes<f32>();
      for (let i = 0; i < SIDE; i++) {
        for (let j = 0; j < SIDE; j++) store<f32>(entryAt<f32>(to, j, i), load<f32>(entryAt<f32>(from, i, j)));
      }
    }
  }
}
