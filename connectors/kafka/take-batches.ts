import { setImmediate } from 'node:timers/promises';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import type { Consumer } from './client.js';
import type { Decoder } from './decoder.js';
import { historyOf } from './history.js';
import type { Intake, Slot } from './intake.js';
import type { KafkaSourceOptions } from './options.js';
import type { Records } from '../../src/mapping/records.js';

/** Records decoded between two turns of the event loop, in which the state stores the last batch. */
const turnRecords = 1000;

/** Calls that a member of the group makes to its source. */
export interface GroupEvents {
  /** The group can no longer be read: every later `read` throws this. */
  failed(error: StageError): void;
  /** The broker deleted records before `low` that were never read. Throws if the options refuse that. */
  lost(slot: Slot, low: number): void;
  /** Records came into `slot`, from index `from` on. */
  came(slot: Slot, from: number): void;
}

/** What `takeBatches` needs of a member of the group. */
export interface Reading {
  readonly kafka: Kafka;
  readonly options: KafkaSourceOptions;
  readonly intake: Intake;
  readonly decoder: Decoder;
  readonly events: GroupEvents;
  /** The slot of a partition; throws for one that the state does not have. */
  slotOf(topic: string, partition: number): Slot;
  leaving(): boolean;
  paused(): boolean;
  /** Fetches no more until the source has room again. */
  pause(): void;
  /** Goes on at another offset. */
  seek(slot: Slot, offset: number): void;
}

/** Waits until there is room, with heartbeats; when it takes long, fetching is paused. Returns whether to go on. */
async function roomMade(reading: Reading, heartbeat: () => Promise<void>): Promise<boolean> {
  const { intake, options } = reading;
  const since = Date.now();
  while (intake.room === 0 && !reading.leaving()) {
    await heartbeat();
    if (Date.now() - since > options.heartbeatMs) {
      reading.pause();
      return false;
    }
    await intake.change(options.heartbeatMs / 2);
  }
  return !reading.leaving();
}

/** Handles missing records before a batch: reports those that retention deleted, and seeks to the first that is left. */
async function crossHole({ kafka, events, seek }: Reading, slot: Slot): Promise<void> {
  const { topic, partition } = slot.owned;
  const admin = kafka.admin();
  try {
    await admin.connect();
    const offsets = await admin.fetchTopicOffsets(topic);
    const low = Number(offsets.find(o => o.partition === partition)?.low ?? 0);
    if (low > slot.next) events.lost(slot, low);
    seek(slot, slot.next);
  } finally {
    await admin.disconnect();
  }
}

const skip = ({ offset, value }: KafkaMessage, records: Records): void => {
  records.begin(Number(offset), value);
  records.skip('in the history');
};

/** Puts the batches that kafkajs fetches into the intake, without gaps. Calls `fail` with an error that ends reading. */
export function takeBatches(
  reading: Reading,
  fail: (error: StageError) => void,
): NonNullable<NonNullable<Parameters<Consumer['run']>[0]>['eachBatch']> {
  const { options, intake, decoder, events, slotOf } = reading;
  const places = historyOf(options)?.places;
  const before = places && 'before' in places ? places.before : undefined;
  const inHistory = ({ owned: { passed } }: Slot, { offset, timestamp }: KafkaMessage): boolean =>
    before !== undefined && passed !== undefined && Number(offset) < passed && Number(timestamp) < before;

  return async payload => {
    const { batch, heartbeat, isRunning, isStale, resolveOffset } = payload;
    const goesOn = () => isRunning() && !isStale() && !reading.leaving() && !reading.paused();
    if (!goesOn()) return;
    try {
      const slot = slotOf(batch.topic, batch.partition);
      const { fetchedOffset } = batch as typeof batch & { readonly fetchedOffset: string };
      if (Number(fetchedOffset) > slot.next) return await crossHole(reading, slot);
      const { messages } = batch;
      await decoder.prepare(messages);
      let k = 0;
      while (k < messages.length && Number(messages[k]!.offset) < slot.next) k++;
      while (k < messages.length) {
        if (!(await roomMade(reading, heartbeat)) || !goesOn()) return;
        const end = Math.min(messages.length, k + intake.room, k + turnRecords);
        const { records } = slot;
        const from = records.length;
        let bytes = 0;
        for (; k < end && bytes <= options.batch.bytes && records.length - from < turnRecords; k++) {
          const message = messages[k]!;
          if (inHistory(slot, message)) skip(message, records);
          else decoder.decode(message, records);
          bytes += message.value?.length ?? 0;
        }
        events.came(slot, from);
        const next = k < messages.length ? Number(messages[k - 1]!.offset) : Number(batch.lastOffset());
        intake.advance(slot, next + 1, records.length - from, bytes);
        resolveOffset(String(next));
        await heartbeat();
        await setImmediate();
      }
    } catch (error) {
      // What kafkajs throws here (a rebalance) is its own to handle.
      if (!(error instanceof StageError)) throw error;
      fail(error);
    }
  };
}
