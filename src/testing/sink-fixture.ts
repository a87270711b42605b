import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListKind, Publication, RankedList, Sink } from '../contracts/sink.js';

/** The checks that the suite uses; `expect` of vitest and of jest has them. */
interface Expectation {
  toBe(value: unknown): void;
  toEqual(value: unknown): void;
  toMatchObject(value: object): void;
  toBeUndefined(): void;
  readonly rejects: { toMatchObject(value: object): Promise<void> };
}

/** The functions of a test runner, such as vitest's. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => Promise<void>) => unknown;
  readonly beforeEach: (body: () => Promise<void>) => unknown;
  readonly afterEach: (body: () => Promise<void>) => unknown;
  readonly expect: (value: unknown, message?: string) => Expectation;
}

/** Options of a sink's test. */
export interface SinkSuiteOptions {
  /** Reads a list of the current version as another program would; for sinks without `get`. */
  readonly read?: (store: string, kind: ListKind, id: string) => Promise<RankedList | undefined>;
  /** False when the format has no way to say that a list is empty. Default true. */
  readonly keepsEmptyLists?: boolean;
}

/** A sink and a reader on a fresh store. */
export interface Fixture {
  readonly store: string;
  sink: Sink;
  /** Another sink on the same store. */
  connected(owner?: string): Promise<Sink>;
  read(kind: ListKind, id: string): Promise<RankedList | undefined>;
}

/** Makes a fixture for each test of a `describe` block. */
export function fixtures(
  { beforeEach, afterEach }: TestRunner,
  makeSink: (store: string) => Sink,
  options: SinkSuiteOptions,
): Fixture {
  const open: Sink[] = [];
  let store = '';
  let sink: Sink | undefined;
  const fixture: Fixture = {
    get store() {
      return store;
    },
    get sink() {
      return sink!;
    },
    set sink(other) {
      sink = other;
    },
    async connected(owner) {
      const made = makeSink(store);
      open.push(made);
      await made.connect(owner);
      return made;
    },
    read: (kind, id) => (sink!.get === undefined ? options.read!(store, kind, id) : sink!.get(kind, id)),
  };
  beforeEach(async () => {
    store = await mkdtemp(join(tmpdir(), 'sink-'));
    sink = await fixture.connected();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    await rm(store, { recursive: true, force: true });
  });
  return fixture;
}

/** A fixture of a sink that keeps versions, with short ways to write to it. */
export interface VersionSuite {
  readonly runner: TestRunner;
  readonly on: Fixture;
  readonly options: SinkSuiteOptions;
  /** Writes a version of lists of users. */
  write(version: string, lists: readonly RankedList[], minute?: number): Promise<void>;
  /** Writes a version and points the champion at it. */
  publish(version: string, lists: readonly RankedList[], minute?: number): Promise<void>;
}

/** A list of `items` with scores 1, 1/2, 1/4, … */
export function ranked(id: string, items: readonly string[]): RankedList {
  return { id, items, scores: items.map((_, k) => 2 ** -k) };
}

/** A publication of `version`, made `minute` minutes into a fixed hour. */
export function publicationOf(version: string, minute = 0): Publication {
  return {
    format: 'sansa-stream/model@1',
    version,
    createdAt: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(),
    solver: 'icf',
    options: {},
    items: { count: 3, checksum: 'c' },
    events: 4,
    users: 2,
    interactions: 4,
    parameters: 9,
    weightsChecksum: 'w',
    weightsBytes: 64,
    gramian: 'implicit',
    fit: {},
  };
}
