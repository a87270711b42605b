import type { ListKind, RankedList } from '../../src/contracts/index.js';

/** Writes the lists of one version into a directory. */
export interface ListWriter {
  /** Resolves once the lists are out of the caller's hands: memory stays bounded if each call is awaited. */
  write(kind: ListKind, lists: readonly RankedList[]): Promise<void>;
  /** Completes and fsyncs the files; throws if they have not all that was written. */
  finish(): Promise<void>;
  /** Lets go of the files without completing them. */
  abandon(): Promise<void>;
}
