import type { ListKind } from '../contracts/sink.js';
import type { Rows } from '../matrix/rows.js';
import {
  type ListMaker,
  type ListModel,
  type ListWeights,
  type LoadedWeights,
  loadWeights,
  type MadeLists,
  rehearse,
} from './list-maker.js';
import type { ListRequest } from './list-source.js';

// Tasks of the compute thread that makes the lists of one publication, in the order of the calls.

/** The model of the publication under way, and the maker of its lists. */
let weights: LoadedWeights | undefined;
let maker: ListMaker | undefined;

/** Loads and compiles the code that makes lists, before it is known which lists. */
export function warmUp(): void {
  rehearse();
}

/** Loads the weights of a model. */
export async function loadListWeights(input: ListWeights): Promise<void> {
  await weights?.close();
  weights = loadWeights(input);
}

/** Readies the lists of a request, after the weights of its model. */
export function openLists(model: ListModel, request: ListRequest): void {
  maker = weights!.open(model, request);
}

/** Makes the lists of some rows, after `openLists`. */
export function makeLists(rows: Rows, kind: ListKind): MadeLists {
  return maker!.make(rows, kind);
}
