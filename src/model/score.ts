import { type Ranked, topK } from '../matrix/top.js';
import type { CsrMatrix, Model } from './model.js';

/** Options of a list. */
export interface RankOptions {
  /** Whether the user's own items are left out; by default they are. */
  readonly exclude?: boolean | undefined;
}

/**
 * Scores users by a model. Holds workspaces of the model's size: make one and use it for many users. Items ≥ n, which the
 * model does not know yet, are passed over.
 */
export interface Scorer {
  /** Scores of every item, 0 for one that is not reached; `values` are 1 when absent. */
  scores(items: Int32Array, values?: ArrayLike<number>): Float32Array;
  /** The k best of the items that are reached; fewer when there are fewer. */
  topK(items: Int32Array, values: ArrayLike<number> | undefined, k: number, options?: RankOptions): Ranked;
}

/** A scorer of the model: u·serving where it has a serving matrix, else (u·encoder)·decoder. */
export function createScorer(model: Model): Scorer {
  const { n, encoder, decoder, serving } = model;
  const latent = sparseVector(encoder.columns);
  const out = sparseVector(n);
  const rounded = new Float32Array(n);
  const candidates = new Int32Array(n);

  const forward = (items: Int32Array, values: ArrayLike<number> | undefined) => {
    for (let e = 0; e < items.length; e++) {
      if (items[e]! < n)
        addRow(serving ?? encoder, items[e]!, values ? values[e]! : 1, serving ? out : latent);
    }
    for (let e = 0; e < latent.length; e++) {
      const k = latent.list[e]!;
      addRow(decoder, k, latent.x[k]!, out);
    }
    clear(latent);
  };

  return {
    scores(items, values) {
      forward(items, values);
      const scores = new Float32Array(n);
      for (let e = 0; e < out.length; e++) scores[out.list[e]!] = out.x[out.list[e]!]!;
      clear(out);
      return scores;
    },
    topK(items, values, k, { exclude = true } = {}) {
      forward(items, values);
      if (exclude) for (let e = 0; e < items.length; e++) out.seen[items[e]!] = 0;
      let count = 0;
      for (let e = 0; e < out.length; e++) {
        const i = out.list[e]!;
        if (out.seen[i] === 0) continue;
        candidates[count++] = i;
        rounded[i] = out.x[i]!; // ties are ties of what the caller sees
      }
      clear(out);
      return topK(candidates, count, rounded, k);
    },
  };
}

/** The k best items for a user with these items, the items themselves left out. */
export function recommend(model: Model, items: Int32Array, k: number): Ranked {
  return createScorer(model).topK(items, undefined, k);
}

/** The k items that an interaction with `item` alone recommends. */
export function similar(model: Model, item: number, k: number): Ranked {
  return recommend(model, Int32Array.of(item), k);
}

/** A dense vector with the list of the places that were reached. */
interface SparseVector {
  readonly x: Float64Array;
  readonly seen: Uint8Array;
  readonly list: Int32Array;
  length: number;
}

function sparseVector(n: number): SparseVector {
  return { x: new Float64Array(n), seen: new Uint8Array(n), list: new Int32Array(n), length: 0 };
}

function clear(y: SparseVector): void {
  for (let e = 0; e < y.length; e++) {
    y.x[y.list[e]!] = 0;
    y.seen[y.list[e]!] = 0;
  }
  y.length = 0;
}

// y += α A_row
function addRow(A: CsrMatrix, row: number, alpha: number, y: SparseVector): void {
  const { indptr: Ap, indices: Ai, data: Ax } = A;
  const { x, seen, list } = y;
  let { length } = y;
  for (let e = Ap[row]!; e < Ap[row + 1]!; e++) {
    const i = Ai[e]!;
    if (seen[i] === 0) {
      seen[i] = 1;
      list[length++] = i;
    }
    x[i]! += alpha * Ax[e]!;
  }
  y.length = length;
}
