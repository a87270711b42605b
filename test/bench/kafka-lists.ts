import { randomUUID } from 'node:crypto';
import { createKafkaSink } from '../../connectors/kafka/sink.js';
import { kafkaSinkOptions } from '../../connectors/kafka/sink-options.js';
import { silent } from '../../src/contracts/index.js';
import { publish } from '../../src/index.js';
import { createEncoder, encodeLists, type NumberedLists } from '../../src/publish/encode.js';
import type { ListBatch, ListSource } from '../../src/publish/list-source.js';
import { Arena } from '../../src/runtime/arena.js';
import { Threads } from '../../src/runtime/threads.js';
import { publicationOf } from '../../src/testing/index.js';
import type { Broker } from '../support/broker.js';

const users = 100_000;
const k = 20;
const size = 4096;
const catalogue = 20_000;

/**
 * Lists of 20 items for 100,000 users, ids and items as long as those of web shops; encoded beforehand, which other
 * threads do in a publication.
 */
function listSource(): ListSource {
  const keys = Array.from({ length: catalogue }, (_, i) => `sku-${i}`);
  const arena = new Arena();
  const format = { encoding: 'json', stamped: false } as const;
  const encoder = createEncoder({ arena, threads: new Threads(arena, 1) }, keys, format, 'v');
  const batchFrom = (from: number): ListBatch => {
    const count = Math.min(size, users - from);
    const lists: NumberedLists = {
      k,
      lengths: new Int32Array(count).fill(k),
      items: Int32Array.from({ length: count * k }, (_, e) => ((from + e) * 7919) % catalogue),
      scores: Float32Array.from({ length: count * k }, (_, e) => 1 / (1 + (e % k))),
    };
    const { bytes, offsets } = encodeLists(encoder, lists, room => arena.bytes(room, 'encoded lists'));
    const encoded = { bytes: bytes.slice(), offsets };
    const ids = Array.from({ length: count }, (_, r) => `user-${from + r}`);
    return { kind: 'users', ids, encoded: { json: encoded } };
  };
  const batches: ListBatch[] = [];
  for (let from = 0; from < users; from += size) batches.push(batchFrom(from));
  return {
    counts: { users, items: 0 },
    async *batches() {
      yield* batches;
    },
    sample: async () => batches[0]!,
    close: async () => undefined,
  };
}

/** Lists a second through a whole publication, its manifest and pointer included: the first, and one over another. */
export async function listsPerSecond(
  broker: Broker,
): Promise<{ readonly first: number; readonly next: number }> {
  const options = { type: 'kafka', brokers: [...broker.brokers], prefix: `bench-${randomUUID()}` };
  const sink = createKafkaSink(kafkaSinkOptions.parse(options));
  const lists = listSource();
  await sink.connect();
  try {
    const rates: number[] = [];
    for (const [minute, version] of ['v1', 'v2'].entries()) {
      const { listsPerSecond: rate } = await publish({
        manifest: publicationOf(version, minute),
        content: version,
        change: 0,
        lists,
        sinks: [sink],
        log: silent,
      });
      rates.push(rate);
    }
    return { first: rates[0]!, next: rates[1]! };
  } finally {
    await sink.close();
  }
}
