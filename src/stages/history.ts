import { setTimeout as sleep } from 'node:timers/promises';
import type { DecodedBatch, PartitionEnd, Position, Source, StateStore } from '../contracts/index.js';
import { failpoint } from '../runtime/failpoint.js';

/** The token of the position behind a history that has been read. */
const ended = 'ended';
/** How often a stream looks whether its history has been read. */
const lookMs = 250;

/** Sources whose history is another source come behind that. */
export const historiesFirst = (sources: readonly Source[]): readonly Source[] => [
  ...sources.filter(s => !s.history),
  ...sources.filter(s => s.history),
];

const positionAt = (position: Position): DecodedBatch => ({
  events: {
    length: 0,
    user: [],
    item: [],
    weight: new Int32Array(0),
    op: new Uint8Array(0),
    ts: new Float64Array(0),
    id: [],
    sequence: new Float64Array(0),
  },
  dead: [],
  position,
});

/**
 * The history of a stream as the state knows it. Its rows belong to the source of the stream, in a partition that has the
 * stream's name. One transaction sets the positions of the stream's own partitions behind it: from then on they decide.
 */
export class History {
  readonly #store: StateStore;
  readonly #source: Source;

  constructor(store: StateStore, source: Source) {
    this.#store = store;
    this.#source = source;
  }

  /** Whether it has been read; a state that has taken something of the stream itself needs it no more. */
  async isRead(): Promise<boolean> {
    const { stream } = this.#source.history!;
    const positions = await this.#store.positions(this.#source.name);
    return positions.some(p => p.partition !== stream || p.token === ended);
  }

  /** Whether it has been read; with `signal`, waits until it has, or until that aborts. */
  async read(signal: AbortSignal | undefined): Promise<boolean> {
    for (;;) {
      if (await this.isRead()) return true;
      if (!signal || signal.aborted) return false;
      await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Lets the stream go on behind `ends`. */
  async end(ends: readonly PartitionEnd[]): Promise<void> {
    failpoint('history:read');
    const { stream } = this.#source.history!;
    const { name } = this.#source;
    const last = (await this.#store.positions(name)).find(p => p.partition === stream)?.sequence ?? -1;
    await this.#store.append(name, [
      positionAt({ partition: stream, sequence: last + 1, token: ended }),
      ...ends.map(({ partition, end }) => positionAt({ partition, sequence: end })),
    ]);
    failpoint('history:ended');
  }
}
