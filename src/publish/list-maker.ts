import type { Rows } from '../gramian/rows.js';
import { Arena } from '../kernels.js';
import { loadRanker, rankRows } from '../model/rank.js';
import { loadModel } from '../model/weights-file.js';
import type { EncodedLists, ListFormat } from '../sink.js';
import { Threads } from '../threads.js';
import { encodeLists, itemFragments, type NumberedLists } from './encode.js';
import { formatName, type ListRequest } from './publish.js';

/** What lists are made from and for. */
export interface ListSettings extends ListRequest {
  /** Weights of the model. */
  readonly path: string;
  /** Keys of the model's items. */
  readonly keys: readonly string[];
  readonly k: number;
  readonly threads: number;
}

/** Lists of some rows, in the forms that were asked for. */
export interface MadeLists {
  readonly numbered: NumberedLists | undefined;
  /** By `formatName`. */
  readonly encoded: Readonly<Record<string, Omit<EncodedLists, 'ids'>>>;
}

/** Scores rows and encodes their lists, with memory and threads of its own. Belongs to a compute thread. */
export interface ListMaker {
  make(rows: Rows): MadeLists;
  close(): Promise<void>;
}

/** Loads a model and what its lists are made with. */
export function createListMaker({
  path,
  keys,
  k,
  threads: size,
  version,
  formats,
  ranked,
}: ListSettings): ListMaker {
  const arena = new Arena();
  const threads = new Threads(arena, size);
  const ranker = loadRanker(arena, loadModel(path));
  const encodings = new Set(formats.map(format => format.encoding));
  const fragments = new Map([...encodings].map(encoding => [encoding, itemFragments(keys, encoding)]));
  const encode = (lists: NumberedLists, format: ListFormat) =>
    encodeLists(lists, fragments.get(format.encoding)!, format, version);
  return {
    make(rows) {
      const lists: NumberedLists = rankRows(arena, threads, ranker, rows, k);
      return {
        numbered: ranked ? lists : undefined,
        encoded: Object.fromEntries(formats.map(format => [formatName(format), encode(lists, format)])),
      };
    },
    close: () => threads.close(),
  };
}
