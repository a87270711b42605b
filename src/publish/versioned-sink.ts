import { randomUUID } from 'node:crypto';
import {
  champion,
  type EncodedLists,
  type ListFormat,
  live,
  type RankedList,
  type Sink,
} from '../contracts/sink.js';
import { decodeList } from './decode.js';
import { encodeRanked } from './encode.js';
import { checkAlias, checkVersion } from './layout.js';
import { LifeCycle } from './life-cycle.js';
import type { ListStore } from './list-store.js';
import { superseded } from './retention.js';
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

/** For stores that take the bytes of lists. */
export const encodedForm = (format: ListFormat): ListForm<EncodedLists> => ({
  format,
  of: (lists, version) => encodeRanked(lists, format, version),
  encoded: lists => lists,
});

/** Makes a sink of a store: steps out of order and names that cannot be are refused here, the same in every sink. */
export function createVersionedSink<L>(settings: VersionedSinkSettings<L>, store: ListStore<L>): Sink {
  const { name, where, options, form, inPlace = false, overheadBytes } = settings;
  const { format, encoded } = form;
  const step = sinkSteps(where);
  const life = new LifeCycle(store, options.leaseMs, inPlace);
  const target = (version: string): string => (inPlace ? live : version);
  const connected = (): ListStore<L> => life.store;
  const readable = store.read && format ? { read: store.read.bind(store), ...format } : undefined;
  const amend = store.amend?.bind(store);

  return {
    name,
    ...limitsOf(options),
    ...(format ? { format, inPlace } : {}),
    ...(overheadBytes === undefined ? {} : { overheadBytes }),

    connect: (owner = randomUUID()) => step(`to connect`, () => life.open(owner)),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        checkVersion(publication.version, where);
        return life.begin(target(publication.version), publication);
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, () =>
        life.write(kind, lists.length, version => form.of(lists, version)),
      ),
    ...(encoded && {
      writeEncoded: (kind, lists) =>
        step(`to write lists of ${kind}`, () => life.write(kind, lists.ids.length, () => encoded(lists))),
    }),

    finish: () => step('to finish the version', () => life.finish()),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        checkVersion(version, where);
        checkAlias(alias);
        await life.point({ alias, version: target(version), expected });
      }),

    current: (alias = champion) => step('to read the pointer', () => connected().current(alias)),
    pointers: () => step('to read the pointers', () => connected().pointers()),
    versions: () => step('to read the versions', () => connected().versions()),

    ...(readable && {
      get: (kind, id, alias = champion) =>
        step(`to read the list of ${id}`, async () => {
          const version = await connected().current(alias);
          const found = version === undefined ? undefined : await readable.read(version, kind, id);
          if (found === undefined) return undefined;
          const { items, scores, fallback } = decodeList(found, readable.encoding);
          return { id, items, scores, ...(fallback ? { fallback } : {}) };
        }),
    }),
    ...(amend && {
      amend: (version, kind, amendment) =>
        step(`to amend version ${version}`, async () => {
          connected();
          await amend(version, kind, amendment);
        }),
    }),

    forget: erased => step('to forget ids', () => life.forget(erased)),

    prune: keep =>
      step('to delete superseded versions', async () => {
        const held = await connected().versions();
        const pointers = await connected().pointers();
        await connected().remove(superseded(held, pointers.values(), keep));
      }),

    close: () => step('to close', () => life.close()),
  };
}
