import { randomUUID } from 'node:crypto';
import type { Read, Source } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { kafkaError, openKafka, patiently } from './client.js';
import { openDeadLetterTopic } from './dead-letters.js';
import { createDecoder } from './decoder.js';
import { createMembership, type Membership } from './group.js';
import { Intake, type Slot } from './intake.js';
import { KeyCheck } from './key-check.js';
import type { KafkaSourceOptions } from './options.js';
import { findPartitions, type Owned } from './partitions.js';
import { parseShard } from './shards.js';

/** A broker that has been silent for so many session timeouts is gone. */
const patience = 4;

/**
 * A source over the partitions of its shard. A record's partition is `topic/partition`, its sequence its offset. The
 * state's positions decide where reading begins, at the start and on every assignment; what the group has committed
 * is never read but to see whose group it is.
 */
export function createKafkaSource(configured: KafkaSourceOptions, baseDirectory = '.'): Source {
  const { name } = configured;
  let options = configured;
  const where = `source ${name}`;
  const kafka = openKafka(options, baseDirectory);
  const decoder = createDecoder(options);
  const intake = new Intake(options.batch, { unit: options.timeUnit, maxAheadMs: options.maxAheadMs });
  const keys = new KeyCheck();
  const deadLetters = options.deadLetterTopic
    ? openDeadLetterTopic(kafka, options.deadLetterTopic)
    : undefined;
  const since = Date.now();
  let membership: Membership | undefined;
  let failure: StageError | undefined;
  let warnings: string[] = [];

  function lost(slot: Slot, low: number): void {
    const gap = `${slot.owned.name}: records ${slot.next} to ${low - 1} were deleted by retention before they were taken`;
    if (options.onLostRecords === 'refuse') throw new StageError('RECORDS_LOST', `${where}: ${gap}`);
    warnings.push(gap);
    slot.records.reject(low - 1, null, { code: 'records-lost', reason: gap });
    intake.advance(slot, low, 1, 0);
  }

  async function look(positions: Parameters<Source['connect']>[0], state: string): Promise<Owned[]> {
    const admin = kafka.admin();
    try {
      await admin.connect();
      return await patiently(() => findPartitions(admin, options, positions, state));
    } catch (error) {
      throw kafkaError(error, where);
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  return {
    name,
    readsAhead: true,
    waits: true,
    async connect(positions, state = 'none') {
      failure = undefined;
      // A look that no state takes anything from stays out of the group.
      if (state === 'none')
        options = { ...configured, group: `${configured.group}-${randomUUID()}`, adoptGroup: true };
      intake.reset(await look(positions, state));
      for (const slot of intake.slots.values()) {
        const { known, low, next } = slot.owned;
        if (known && next < low) lost(slot, low);
      }
      const me = { state, ...parseShard(options.shard), since, joined: Date.now() };
      membership = createMembership(kafka, options, me, intake, decoder, {
        failed(error) {
          failure ??= error;
          intake.changed();
        },
        lost,
        came: (slot, from) => keys.add(slot.owned.name, slot.records.user, from),
      });
      await membership.join().catch(error => {
        throw kafkaError(error, where);
      });
    },

    async read(signal): Promise<Read | undefined> {
      const joined = membership;
      if (!joined) return undefined;
      for (let idle = false; !signal?.aborted; ) {
        if (failure) throw failure;
        const dueMs = intake.dueMs;
        if (dueMs === 0) break;
        if (dueMs === undefined && intake.caughtUp) {
          if (idle) return undefined;
          idle = true;
        }
        if (Date.now() - joined.heard() > patience * options.sessionTimeoutMs)
          throw new StageError('SOURCE_UNREADABLE', `${where}: the broker has not answered for long`);
        await intake.change(dueMs ?? options.batch.waitMs, signal);
      }
      if (signal?.aborted) return undefined;
      const batches = intake.take();
      const ack = async () => {
        joined.commit(
          batches.map(({ position }) => {
            const { topic, partition } = intake.slots.get(position.partition)!.owned;
            return { topic, partition, next: position.sequence + 1 };
          }),
        );
      };
      return { batches, ack };
    },

    ...(deadLetters ? { reject: dead => deadLetters.write(name, dead) } : {}),

    warnings() {
      const said = warnings;
      warnings = [];
      const stray = keys.warning();
      return stray === undefined ? said : [...said, stray];
    },

    async close() {
      await membership?.leave();
      membership = undefined;
      await deadLetters?.close();
    },
  };
}
