import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Source } from '../contracts/source.js';
import type { TestRunner } from './sink-fixture.js';

/** A stream that a test sends events to. */
export interface Stream {
  /** Adds events at its end. */
  send(events: readonly object[]): Promise<void>;
  /** A source over the stream, of batches of some records. */
  makeSource(): Source;
  /** Whether only the source itself can give records again, as one that events are pushed to. */
  readonly passing?: boolean;
  /** Takes away what lies outside of its directory. */
  remove?(): Promise<void>;
}

/** A stream, and a source over it. */
export interface StreamFixture {
  readonly source: Source;
  send(events: readonly object[]): Promise<void>;
  /** Another source on the same stream, as of another process; the same one if the stream is passing. */
  renew(): void;
}

/** Makes a stream for each test of a `describe` block. */
export function streams(
  { beforeEach, afterEach }: TestRunner,
  makeStream: (directory: string) => Stream | Promise<Stream>,
): StreamFixture {
  let directory = '';
  let stream: Stream | undefined;
  let source: Source | undefined;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'source-'));
    stream = await makeStream(directory);
    source = stream.makeSource();
  });
  afterEach(async () => {
    await source?.close();
    await stream?.remove?.();
    await rm(directory, { recursive: true, force: true });
  });
  return {
    get source() {
      return source!;
    },
    send: events => stream!.send(events),
    renew() {
      if (!stream!.passing) source = stream!.makeSource();
    },
  };
}
