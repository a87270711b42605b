/**
 * Sparse matrix in compressed sparse row form. Column indices ascend within a row.
 */
export interface CsrMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly indptr: Int32Array;
  readonly indices: Int32Array;
  readonly data: Float32Array;
}

/**
 * The two layers that every solver ends in, over r latents; r = n with icf and fsai. Scores of a user row u (1 × n) are
 * `(u · encoder) · decoder` with the user's own items masked. Row i of `encoder` is item i in the latent space (Wᵀ in the
 * paper), row k of `decoder` maps latent k back to items (Z in the paper). Spišák et al. 2023, §3.
 */
export interface Model {
  readonly n: number;
  /** n × r */
  readonly encoder: CsrMatrix;
  /** r × n */
  readonly decoder: CsrMatrix;
  /**
   * The serving matrix (n × n): the largest positive entries of each row of encoder · decoder, without the diagonal. Scores of u
   * are about `u · serving`. Derived from the layers, and no parameters of their own.
   */
  readonly serving?: CsrMatrix | undefined;
  /** Item of each latent, where latents are items: one with compressed-elsa; −1 where it has left the model. */
  readonly dimensions?: Int32Array | undefined;
}

/** A model that can score users: all of it, or its serving matrix alone. */
export type ScoringModel = Model | (Pick<Model, 'n'> & { readonly serving: CsrMatrix });

/** Number of stored weights in both layers. */
export function parameters(model: Model): number {
  return model.encoder.data.length + model.decoder.data.length;
}
