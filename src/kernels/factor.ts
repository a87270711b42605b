import { F32s, I32s } from './views';

/** A sparse lower triangular matrix by columns, rows ascending, the diagonal first. */
@unmanaged
export class Factor {
  n: i32;
  indptr: I32s;
  indices: I32s;
  data: F32s;
}
