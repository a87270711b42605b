import type { ListKind, RankedList, StateStore } from '../contracts/index.js';
import type { Rows } from '../matrix/rows.js';
import { type Compute, startCompute } from '../runtime/compute.js';
import { observed } from '../runtime/serial.js';
import { tasksOf } from '../runtime/task.js';
import type { ListModel, MadeLists, ModelSource } from './list-maker.js';
import type { ListBatch, ListRequest, ListSource } from './list-source.js';

const listTask = tasksOf<typeof import('./list-task.js')>(new URL('./list-task.js', import.meta.url));

/** Lists that are scored and written at a time. */
const listsPerBatch = 512;

/** Batches that are made while one is written. With a single one, each side would wait for every delay of the other. */
const batchesAhead = 3;

/** Makes lists of rows in a thread of its own. Close it. */
export interface ListThread {
  /** Begins to load the weights of a model. `open` throws the error if that fails. */
  load(weights: ModelSource): void;
  /** Prepares the lists of a request: after `load`, and before the first `make`. */
  open(model: ListModel, request: ListRequest): Promise<void>;
  make(kind: ListKind, ids: readonly string[], rows: Rows): Promise<ListBatch>;
  close(): Promise<void>;
}

let ready: Compute | undefined;

/** Starts the thread of the next lists before their model is known: a thread needs a quarter of a second to be ready. */
export function readyListThread(): void {
  if (ready) return;
  ready = startCompute({ keepYoungGenerationSmall: true });
  observed(ready.run(listTask('warmUp'), [])); // making lists meets the same failure and throws it
}

/** Starts a thread that makes lists. An abort ends it, and the task under way fails with `INTERRUPTED`. */
export function startListThread(signal?: AbortSignal): ListThread {
  let keys: readonly string[] = [];
  let loaded = Promise.resolve();
  const compute = ready ?? startCompute({ keepYoungGenerationSmall: true });
  ready = undefined;
  compute.endOn(signal);
  const batchOf = (kind: ListKind, ids: readonly string[], { numbered, encoded }: MadeLists): ListBatch => ({
    kind,
    ids,
    encoded,
    ranked: numbered && ids.map((id, r) => rankedList(id, numbered, r, keys)),
  });
  return {
    load({ path, threads }) {
      loaded = observed(compute.run(listTask('loadModel'), [{ path, threads }]));
    },
    async open(model, request) {
      keys = model.keys;
      await loaded;
      await compute.run(listTask('openLists'), [model, request]);
    },
    make: async (kind, ids, rows) =>
      batchOf(kind, ids, await compute.run(listTask('makeLists'), [rows, kind])),
    close: () => compute.close(),
  };
}

function rankedList(
  id: string,
  { k, lengths, items, scores, fallbacks }: NonNullable<MadeLists['numbered']>,
  r: number,
  keys: readonly string[],
): RankedList {
  const [from, to] = [r * k, r * k + lengths[r]!];
  const fallback = fallbacks?.[r];
  return {
    id,
    items: Array.from(items.subarray(from, to), i => keys[i]!),
    scores: scores.subarray(from, to),
    ...(fallback ? { fallback } : {}),
  };
}

/**
 * The lists of all users and items of a state, by a model whose weights the thread loads. While one batch is stored, the
 * next ones are made. The first histories are read before `batches` is called. The caller closes the thread.
 */
export async function listsOf(store: StateStore, thread: ListThread, model: ListModel): Promise<ListSource> {
  const { keys } = model;
  const counts = { users: await store.userCount(), items: keys.length };
  const rows = allRows(store, keys.length, keys);
  const first = observed(rows.next());
  let opened: Promise<void> | undefined;
  let sampled: ListBatch | undefined;

  function open(request: ListRequest): Promise<void> {
    opened ??= observed(thread.open(model, request));
    return opened;
  }
  async function make(request: ListRequest, next: RowsOfKind): Promise<ListBatch> {
    await open(request);
    return thread.make(...next);
  }

  return {
    counts,

    async *batches(request, skip) {
      const passed = { users: 0, items: 0 };
      const wanted = (kind: ListKind, count: number): boolean => (passed[kind] += count) > skip[kind];
      const made: Promise<ListBatch>[] = [];
      if (sampled && wanted(sampled.kind, sampled.ids.length)) made.push(Promise.resolve(sampled));
      for await (const next of rows) {
        if (!wanted(next[0], next[1].length)) continue;
        made.push(observed(make(request, next)));
        if (made.length > batchesAhead) yield await made.shift()!;
      }
      for (const making of made) yield await making;
    },

    async sample(request) {
      open(request);
      const { value } = await first;
      sampled = value && (await make(request, value));
      return sampled ?? { kind: 'users', ids: [] };
    },

    async close() {
      await first.catch(() => undefined);
      await rows.return(undefined);
    },
  };
}

type RowsOfKind = readonly [ListKind, readonly string[], Rows];

async function* allRows(
  store: StateStore,
  n: number,
  keys: readonly string[],
): AsyncGenerator<RowsOfKind, undefined> {
  for await (const { keys: users, rows } of store.histories(listsPerBatch)) yield ['users', users, rows];
  for (let from = 0; from < n; from += listsPerBatch) {
    const ids = keys.slice(from, from + listsPerBatch);
    yield ['items', ids, singletons(from, ids.length, n)];
  }
}

/** Rows e_from … e_{from + count − 1}: one history for each item. */
function singletons(from: number, count: number, n: number): Rows {
  const indices = Int32Array.from({ length: count }, (_, r) => from + r);
  return {
    n,
    users: indices,
    indptr: Int32Array.from({ length: count + 1 }, (_, r) => r),
    indices,
    values: undefined,
  };
}
