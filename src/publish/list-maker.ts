import type { EncodedLists, ListKind } from '../contracts/sink.js';
import type { Rows } from '../matrix/rows.js';
import type { ScoringModel } from '../model/model.js';
import { loadRanker, rankRows } from '../model/rank.js';
import { loadForScoring } from '../model/weights-file.js';
import { Arena } from '../runtime/arena.js';
import { type Engine, Threads } from '../runtime/threads.js';
import { batchCollector } from './batch-collector.js';
import { createEncoder, type Encoder, encodeLists, type NumberedLists } from './encode.js';
import { formatName, type ListRequest } from './list-source.js';
import { applyRules, filledByScoring, type Rules, scoredLength } from './rules.js';

/** The weights of a model, and the number of threads that score with them. */
export interface ModelSource {
  readonly path: string;
  readonly threads: number;
}

/** A model to make lists with, the keys of its items, and the rules. */
export interface ListModel extends ModelSource {
  /** Keys of the model's items. */
  readonly keys: readonly string[];
  readonly k: number;
  readonly rules: Rules;
}

/** Lists of some rows, in the forms that were asked for. */
export interface MadeLists {
  readonly numbered: NumberedLists | undefined;
  /** By `formatName`. */
  readonly encoded: Readonly<Record<string, Omit<EncodedLists, 'ids'>>>;
}

/** Makes lists, in the memory and with the threads that it was opened with. Belongs to a compute thread. */
export interface ListMaker {
  /** Scores rows and encodes their lists, which are valid until the fourth call after this one. */
  make(rows: Rows, kind: ListKind): MadeLists;
}

/** A model in memory of its own, with threads of its own. Close it. */
export interface LoadedModel {
  /** Prepares the lists of a request. Called once. */
  open(model: ListModel, request: ListRequest): ListMaker;
  close(): Promise<void>;
}

/** Calls of `make` until the encoded lists of a call are overwritten. */
const turns = 4;

/** A copy that stays valid: scored lists lie in kernel memory, which the next call overwrites. */
const copied = ({ k, lengths, items, scores, fallbacks }: NumberedLists): NumberedLists => ({
  k,
  lengths: lengths.slice(),
  items: items.slice(),
  scores: scores.slice(),
  fallbacks: fallbacks?.slice(),
});

/** Makes one list of a tiny model, so that V8 compiles the code before the first real list. */
export function rehearse(): void {
  const arena = new Arena();
  const engine = { arena, threads: new Threads(arena, 1) };
  const serving = {
    rows: 2,
    columns: 2,
    indptr: Int32Array.of(0, 1, 1),
    indices: Int32Array.of(1),
    data: Float32Array.of(1),
  };
  const ranker = loadRanker(engine, { n: 2, serving }, 1);
  const one = { indptr: Int32Array.of(0, 1), indices: Int32Array.of(0), values: undefined };
  const lists = rankRows(ranker, { n: 2, users: Int32Array.of(0), ...one });
  const encoder = createEncoder(engine, ['a', 'b'], { encoding: 'json', stamped: false }, '');
  encodeLists(encoder, lists, room => arena.bytes(room, 'encoded lists'));
}

/** Loads a model to make lists with. */
export function loadListModel({ path, threads: size }: ModelSource): LoadedModel {
  const arena = new Arena();
  const threads = new Threads(arena, size);
  // The file is read straight into kernel memory: a second copy would stay until the next garbage collection.
  const place = (bytes: number) => arena.u8(arena.bytes(bytes, 'model'), bytes);
  const model = loadForScoring(path, place);
  return {
    open: (lists, request) => createListMaker({ arena, threads }, model, lists, request),
    close: () => threads.close(),
  };
}

function createListMaker(
  engine: Engine,
  model: ScoringModel,
  { keys, k, rules }: ListModel,
  { version, formats, ranked }: ListRequest,
): ListMaker {
  const { arena } = engine;
  const ranker = loadRanker(engine, model, scoredLength(rules, k, model.n));
  const encoders = formats.map(format => createEncoder(engine, keys, format, version));
  // One batch is read and two wait while the next is made. So each format has four places, used in turn.
  const places = formats.map(() => Array.from({ length: turns }, () => ({ at: 0, bytes: 0 })));
  const collect = batchCollector();
  let floor = arena.mark();
  let turn = 0;

  function encode(encoder: Encoder, lists: NumberedLists, f: number): Omit<EncodedLists, 'ids'> {
    return encodeLists(encoder, lists, room => {
      const found = places[f]![turn]!;
      if (found.bytes < room) {
        // Places below stay where they are: the main thread may still read them.
        found.bytes = Math.ceil(1.25 * room);
        found.at = arena.bytes(found.bytes, 'encoded lists');
        floor = arena.mark();
      }
      return found.at;
    });
  }

  return {
    make(rows, kind) {
      collect();
      arena.release(floor);
      turn = (turn + 1) % turns;
      const { allowed } = rules;
      const popular = filledByScoring(rules, kind);
      const scored = rankRows(ranker, rows, {
        allowed,
        popular,
        keepOwn: rules.keepOwn && kind === 'users',
      });
      const lists = applyRules(rules, scored, rows, kind, k);
      return {
        numbered: ranked ? copied(lists) : undefined,
        encoded: Object.fromEntries(
          encoders.map((encoder, f) => [formatName(encoder.format), encode(encoder, lists, f)]),
        ),
      };
    },
  };
}
