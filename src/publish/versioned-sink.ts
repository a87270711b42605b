import { randomUUID } from 'node:crypto';
import {
  type Amendment,
  champion,
  type EncodedLists,
  type ItemVectors,
  type ListFormat,
  type ListKind,
  type RankedList,
  type Sink,
} from '../contracts/sink.js';
import { decodeList } from './decode.js';
import { encodeRanked } from './encode.js';
import { checkAlias, checkVersion } from './layout.js';
import { LifeCycle } from './life-cycle.js';
import type { ListStore } from './list-store.js';
import { superseded } from './retention.js';
import type { KeyValueOptions } from './sink-options.js';
import { limitsOf, sinkSteps } from './sink-steps.js';

/** What a sink is beside its store. */
export interface VersionedSinkSettings<L> {
  readonly name: string;
  /** The store, for messages. */
  readonly where: string;
  readonly options: {
    readonly keep: number;
    readonly maxBytes?: string | undefined;
    readonly leaseMs: number;
  };
  readonly form: ListForm<L>;
  readonly inPlace?: boolean;
  readonly overheadBytes?: number;
}

/** How lists are handed to a store. */
interface ListForm<L> {
  readonly format?: ListFormat;
  of(lists: readonly RankedList[], version: string): L;
  readonly encoded?: (lists: EncodedLists) => L;
}

/** For stores that take ranked lists. */
export const rankedForm: ListForm<readonly RankedList[]> = { of: lists => lists };

/** Makes a sink of a store: steps out of order and names that cannot be are refused here, the same in every sink. */
export function createVersionedSink<L>(settings: VersionedSinkSettings<L>, store: ListStore<L>): Sink {
  const { name, options, form, inPlace = false, overheadBytes } = settings;
  const { format } = form;
  const life = new LifeCycle(store, options.leaseMs, inPlace);
  return {
    name,
    ...limitsOf(options),
    ...(format ? { format, inPlace } : {}),
    ...(overheadBytes === undefined ? {} : { overheadBytes }),
    ...writing(settings, life, store),
    ...reading(settings, life, store),
    ...upkeep(settings, life, store),
  };
}

/** Makes a sink of a store that keeps encoded lists by key; `open` gets the format that the options ask for. */
export function createKeyedSink(
  settings: Omit<VersionedSinkSettings<EncodedLists>, 'form' | 'inPlace'> & {
    readonly options: KeyValueOptions;
  },
  open: (format: ListFormat) => ListStore<EncodedLists>,
): Sink {
  const { mode, encoding } = settings.options;
  const inPlace = mode === 'inplace';
  const format: ListFormat = { encoding, stamped: inPlace };
  const form: ListForm<EncodedLists> = {
    format,
    of: (lists, version) => encodeRanked(lists, format, version),
    encoded: lists => lists,
  };
  return createVersionedSink({ ...settings, form, inPlace }, open(format));
}

/** A publication from its lease to its pointer. */
function writing<L>({ where, form }: VersionedSinkSettings<L>, life: LifeCycle<L>, store: ListStore<L>) {
  const step = sinkSteps(where);
  const { encoded } = form;
  return {
    connect: (owner = randomUUID()) => step(`to connect`, () => life.open(owner)),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        checkVersion(publication.version, where);
        return life.begin(publication);
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, () =>
        life.write(kind, lists.length, version => form.of(lists, version)),
      ),
    ...(encoded && {
      writeEncoded: (kind: ListKind, lists: EncodedLists) =>
        step(`to write lists of ${kind}`, () => life.write(kind, lists.ids.length, () => encoded(lists))),
    }),

    ...(store.keepsVectors && {
      writeVectors: (vectors: ItemVectors) => step('to write vectors', () => life.writeVectors(vectors)),
    }),

    finish: () => step('to finish the version', () => life.finish()),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        checkVersion(version, where);
        checkAlias(alias);
        await life.point({ alias, version, expected });
      }),

    close: () => step('to close', () => life.close()),
  } satisfies Partial<Sink>;
}

/** Pointers, versions and, where the store reads them, lists. */
function reading<L>(
  { where, form: { format } }: VersionedSinkSettings<L>,
  life: LifeCycle<L>,
  store: ListStore<L>,
) {
  const step = sinkSteps(where);
  return {
    contents: () => step('to read what there is', () => life.contents()),
    current: (alias = champion) => step('to read the pointer', () => life.store.current(alias)),
    pointers: () => step('to read the pointers', () => life.store.pointers()),
    versions: () => step('to read the versions', () => life.store.versions()),

    ...(store.read &&
      format && {
        get: (kind: ListKind, id: string, alias = champion) =>
          step(`to read the list of ${id}`, async () => {
            const version = await life.store.current(alias);
            const found = version === undefined ? undefined : await life.store.read!(version, kind, id);
            if (found === undefined) return undefined;
            const { items, scores, fallback } = decodeList(found, format.encoding);
            return { id, items, scores, ...(fallback ? { fallback } : {}) };
          }),
      }),
  } satisfies Partial<Sink>;
}

/** Changes of complete versions. */
function upkeep<L>({ where }: VersionedSinkSettings<L>, life: LifeCycle<L>, store: ListStore<L>) {
  const step = sinkSteps(where);
  return {
    ...(store.amend && {
      amend: (version: string, kind: ListKind, amendment: Amendment) =>
        step(`to amend version ${version}`, () => life.store.amend!(version, kind, amendment)),
    }),

    forget: erased => step('to forget ids', () => life.forget(erased)),

    prune: keep =>
      step('to delete superseded versions', async () => {
        const held = await life.store.versions();
        const pointers = await life.store.pointers();
        await life.store.remove(superseded(held, pointers.values(), keep));
      }),
  } satisfies Partial<Sink>;
}
