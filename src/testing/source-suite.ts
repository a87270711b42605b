import type { Position, Read, Source } from '../contracts/source.js';
import { decodeEvents } from '../stages/events.js';
import type { TestRunner } from './sink-fixture.js';
import { type Stream, type StreamFixture, streams } from './source-fixture.js';

/** The state that the reads of a test go into. */
const state = 'state-1';

/** A sent event, by the number of its item. */
const event = (k: number) => ({
  user: `user-${k % 7}`,
  item: `item-${k}`,
  ts: 1_700_000_000_000 + k,
  id: `e${k}`,
});
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, k) => from + k);
const itemsOf = (from: number, to: number): string[] => numbers(from, to).map(k => `item-${k}`);

/** Takes in what a source has, as the stage does: positions move with the events. */
class Taken {
  readonly items: string[] = [];
  readonly rejected: { readonly code: string; readonly raw: string; readonly sequence: number }[] = [];
  readonly positions = new Map<string, Position>();

  /** Takes one read in; throws if a position or a sequence number does not grow. */
  take(read: Read): void {
    for (const { records, position } of read.batches) {
      const { partition, sequence } = position;
      const before = this.positions.get(partition)?.sequence ?? -1;
      if (sequence <= before) throw new Error(`${partition}: position ${sequence} comes after ${before}`);
      let last = before;
      for (let k = 0; k < records.length; k++) {
        const at = records.sequence[k]!;
        if (at < last || at <= before) throw new Error(`${partition}: record ${at} comes after ${last}`);
        last = at;
      }
      if (last > sequence)
        throw new Error(`${partition}: record ${last} lies behind its position ${sequence}`);
      const { events, dead } = decodeEvents(records, { interactions: 'binary', scale: 1 });
      this.items.push(...events.item);
      this.rejected.push(...dead);
      this.positions.set(partition, position);
    }
  }

  connect(source: Source): Promise<void> {
    return source.connect([...this.positions.values()], state);
  }

  /** Takes in all that there is, until a source that can be at rest has been so twice. */
  async drain(source: Source): Promise<void> {
    for (let idle = 0; idle < 2; ) {
      const read = await source.read();
      if (!read) {
        idle++;
        continue;
      }
      this.take(read);
      await read.ack();
    }
  }
}

/**
 * The behaviour of every source. `makeStream(directory)` makes a stream, such as a file in an empty directory, and a source
 * of small batches over it; its events have the fields user, item, ts and id. The suite proves that
 * - every record is given once, in order, with sequence numbers and positions that grow;
 * - who connects at a position gets what lies behind it, neither more nor less, and what was not acknowledged again;
 * - records that come later are found, and a record that is no event holds up no other;
 * - `read` ends soon after its signal aborts.
 */
export function sourceSuite(
  runner: TestRunner,
  name: string,
  makeStream: (directory: string) => Stream | Promise<Stream>,
): void {
  runner.describe(`${name} source`, () => {
    const on = streams(runner, makeStream);
    givesAll(runner, on);
    goesOn(runner, on);
    holdsUpNothing(runner, on);
  });
}

function givesAll({ it, expect }: TestRunner, on: StreamFixture): void {
  it('has nothing while nothing was sent', async () => {
    const taken = new Taken();
    await taken.connect(on.source);
    await taken.drain(on.source);
    expect(taken.items).toEqual([]);
  });

  it('gives every record once, in order', async () => {
    const taken = new Taken();
    await taken.connect(on.source);
    await on.send(numbers(0, 100).map(event));
    await taken.drain(on.source);
    expect(taken.items).toEqual(itemsOf(0, 100));
  });

  it('finds records that come later, connected or not', async () => {
    const taken = new Taken();
    await taken.connect(on.source);
    await on.send(numbers(0, 10).map(event));
    await taken.drain(on.source);
    await on.source.close();
    await taken.connect(on.source);
    await on.send(numbers(10, 20).map(event));
    await taken.drain(on.source);
    expect(taken.items).toEqual(itemsOf(0, 20));
  });
}

function goesOn({ it, expect }: TestRunner, on: StreamFixture): void {
  it('goes on behind the position of every read', async () => {
    const taken = new Taken();
    await taken.connect(on.source);
    await on.send(numbers(0, 60).map(event));
    for (let reads = 0; reads < 200 && taken.items.length < 60; reads++) {
      const read = await on.source.read();
      if (read) {
        taken.take(read);
        await read.ack();
      }
      await on.source.close();
      on.renew();
      await taken.connect(on.source);
    }
    expect(taken.items).toEqual(itemsOf(0, 60));
  });

  it('gives what was not taken in again', async () => {
    const taken = new Taken();
    await taken.connect(on.source);
    await on.send(numbers(0, 60).map(event));
    const first = (await on.source.read())!;
    taken.take(first);
    await first.ack();
    // This read is lost: its state could not store it.
    await on.source.read();
    await on.source.close();
    await taken.connect(on.source);
    await taken.drain(on.source);
    expect(taken.items).toEqual(itemsOf(0, 60));
  });
}

function holdsUpNothing({ it, expect }: TestRunner, on: StreamFixture): void {
  it('rejects a record that is no event, and gives the others', async () => {
    const taken = new Taken();
    await taken.connect(on.source);
    const { user: _, ...nobody } = event(1);
    await on.send([event(0), nobody, event(2)]);
    await taken.drain(on.source);
    expect(taken.items).toEqual(['item-0', 'item-2']);
    expect(taken.rejected.map(r => r.code)).toEqual(['user-missing']);
    if (!on.source.decodeAgain) return;
    const letters = taken.rejected.map(r => ({
      ...r,
      partition: [...taken.positions.keys()][0]!,
      reason: '',
      rejectedAt: Date.now(),
    }));
    const again = await on.source.decodeAgain(letters);
    expect(again.length).toBe(1);
    expect(String(again.item[0])).toBe('item-1');
  });

  it('stops reading soon after it is told to', async () => {
    await on.source.connect([], state);
    const started = Date.now();
    for (const signal of [AbortSignal.abort(), AbortSignal.timeout(20)]) {
      const ended = await on.source.read(signal).catch(error => {
        expect(error).toMatchObject({ code: 'INTERRUPTED' });
      });
      expect(ended).toBeUndefined();
    }
    expect(Date.now() - started < 5000).toBe(true);
    await on.source.close();
    await on.source.close();
  });
}
