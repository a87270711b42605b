import type { ListKind } from '../contracts/sink.js';
import type { Rows } from '../matrix/rows.js';
import {
  type ListMaker,
  type ListModel,
  type LoadedModel,
  loadListModel,
  type MadeLists,
  type ModelSource,
  rehearse,
} from './list-maker.js';
import type { ListRequest } from './list-source.js';

// Tasks of the compute thread that makes the lists of one publication, in the order of the calls.

/** The model of the publication under way, and the maker of its lists. */
let loaded: LoadedModel | undefined;
let maker: ListMaker | undefined;

/** Loads and compiles the code that makes lists, before it is known which lists. */
export function warmUp(): void {
  rehearse();
}

/** Loads the weights of a model. */
export async function loadModel(input: ModelSource): Promise<void> {
  await loaded?.close();
  loaded = loadListModel(input);
}

/** Prepares the lists of a request, after the weights of its model. */
export function openLists(model: ListModel, request: ListRequest): void {
  maker = loaded!.open(model, request);
}

/** Makes the lists of some rows, after `openLists`. */
export function makeLists(rows: Rows, kind: ListKind): MadeLists {
  return maker!.make(rows, kind);
}
