import type { CsrMatrix } from '#src/model/model.js';

/** Aᵀ; its column indices ascend within a row. */
export function transpose(A: CsrMatrix): CsrMatrix {
  const { indptr: Ap, indices: Ai, data: Ax } = A;
  const Cp = new Int32Array(A.columns + 1);
  const Ci = new Int32Array(Ai.length);
  const Cx = new Float32Array(Ai.length);
  for (let e = 0; e < Ai.length; e++) Cp[Ai[e]! + 1]!++;
  for (let j = 0; j < A.columns; j++) Cp[j + 1]! += Cp[j]!;
  const next = Cp.slice(0, A.columns);
  for (let i = 0; i < A.rows; i++) {
    for (let e = Ap[i]!; e < Ap[i + 1]!; e++) {
      const f = next[Ai[e]!]!++;
      Ci[f] = i;
      Cx[f] = Ax[e]!;
    }
  }
  return { rows: A.columns, columns: A.rows, indptr: Cp, indices: Ci, data: Cx };
}
