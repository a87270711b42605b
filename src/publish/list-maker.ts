import type { Rows } from '../gramian/rows.js';
import { Arena } from '../kernels.js';
import { loadRanker, rankRows } from '../model/rank.js';
import { loadForScoring } from '../model/weights-file.js';
import type { EncodedLists, ListFormat, ListKind } from '../sink.js';
import { Threads } from '../threads.js';
import { batchCollector } from './batch-collector.js';
import { ByteSink, encodeLists, itemFragments, type NumberedLists } from './encode.js';
import { formatName, type ListRequest } from './publish.js';
import { applyRules, filledByScoring, type Rules, scoredLength } from './rules.js';

/** What lists are made from and for. */
export interface ListSettings extends ListRequest {
  /** Weights of the model. */
  readonly path: string;
  /** Keys of the model's items. */
  readonly keys: readonly string[];
  readonly k: number;
  readonly threads: number;
  readonly rules: Rules;
}

/** Lists of some rows, in the forms that were asked for. */
export interface MadeLists {
  readonly numbered: NumberedLists | undefined;
  /** By `formatName`. */
  readonly encoded: Readonly<Record<string, Omit<EncodedLists, 'ids'>>>;
}

/**
 * Scores rows and encodes their lists, with memory and threads of its own. Belongs to a compute thread. The encoded
 * lists of a call are valid until the third call after it.
 */
export interface ListMaker {
  make(rows: Rows, kind: ListKind): MadeLists;
  close(): Promise<void>;
}

/** Lists that outlast the next ones: what is scored lies in memory that is shared and used again. */
const copied = ({ k, lengths, items, scores, fallbacks }: NumberedLists): NumberedLists => ({
  k,
  lengths: lengths.slice(),
  items: items.slice(),
  scores: scores.slice(),
  fallbacks: fallbacks?.slice(),
});

/** Loads a model and what its lists are made with. */
export function createListMaker({
  path,
  keys,
  k,
  threads: size,
  rules,
  version,
  formats,
  ranked,
}: ListSettings): ListMaker {
  const arena = new Arena();
  const threads = new Threads(arena, size);
  // Straight to where the kernels read it: a second copy would stay until the collector comes by.
  const place = (bytes: number) => arena.u8(arena.bytes(bytes, 'model'), bytes);
  const ranker = loadRanker(arena, loadForScoring(path, place));
  const encodings = new Set(formats.map(format => format.encoding));
  const fragments = new Map([...encodings].map(encoding => [encoding, itemFragments(keys, encoding)]));
  // One batch is read and another waits while the next is made: three buffers a format, in turns.
  const buffers = formats.map(() => [new ByteSink(0), new ByteSink(0), new ByteSink(0)]);
  const collect = batchCollector();
  let turn = 0;
  const encode = (lists: NumberedLists, format: ListFormat, f: number) =>
    encodeLists(lists, fragments.get(format.encoding)!, format, version, buffers[f]![turn]);
  return {
    make(rows, kind) {
      collect();
      turn = (turn + 1) % 3;
      const { allowed } = rules;
      const popular = filledByScoring(rules, kind);
      const choice = { allowed, popular, keepOwn: rules.keepOwn && kind === 'users' };
      const scored = rankRows(arena, threads, ranker, rows, scoredLength(rules, k, ranker.n), choice);
      const lists = applyRules(rules, scored, rows, kind, k);
      return {
        numbered: ranked ? copied(lists) : undefined,
        encoded: Object.fromEntries(
          formats.map((format, f) => [formatName(format), encode(lists, format, f)]),
        ),
      };
    },
    close: () => threads.close(),
  };
}
