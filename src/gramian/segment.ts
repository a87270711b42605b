/** A Gramian segment on disk: an immutable CSC file whose sum with its siblings is G. */
export interface SegmentFile {
  readonly id: string;
  /** File name under `gramian/`. */
  readonly file: string;
  /** Number of items when it was made; the segment is n × n. */
  readonly n: number;
  readonly nnz: number;
  readonly bytes: number;
}
