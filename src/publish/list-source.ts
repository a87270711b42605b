import type { EncodedLists, ListFormat, ListKind, RankedList } from '../contracts/sink.js';

/** A batch of lists of one kind, in the forms that the sinks take. */
export interface ListBatch {
  readonly kind: ListKind;
  readonly ids: readonly string[];
  readonly ranked?: readonly RankedList[] | undefined;
  /** By `formatName`. */
  readonly encoded?: Readonly<Record<string, Omit<EncodedLists, 'ids'>>> | undefined;
}

/** A name of each format. */
export const formatName = ({ encoding, stamped }: ListFormat): string =>
  `${encoding}${stamped ? ' stamped' : ''}`;

/** The forms in which a publication needs its lists. */
export interface ListRequest {
  readonly version: string;
  readonly formats: readonly ListFormat[];
  /** Whether some sink takes ranked lists. */
  readonly ranked: boolean;
}

/**
 * The lists of a publication, users before items. The same content comes in the same order and in the same batches. It
 * can be read once.
 */
export interface ListSource {
  /** Lists of each kind, at most. */
  readonly counts: Readonly<Record<ListKind, number>>;
  /** All batches except those that end within the first `skip` lists of their kind. */
  batches(request: ListRequest, skip: Readonly<Record<ListKind, number>>): AsyncIterable<ListBatch>;
  /** The first batch, before `batches` is called with the same request. */
  sample(request: ListRequest): Promise<ListBatch>;
  close(): Promise<void>;
}
