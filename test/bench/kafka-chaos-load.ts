/** The events of a chaos run on their way into the topic. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from '../support/broker.js';
import { client, itemOf, userOf } from './kafka-oracle.js';

/** One kind of run. */
export interface ChaosOptions {
  readonly rounds: number;
  /** Events of a round, and the seconds over which they are produced while faults happen. */
  readonly events: number;
  readonly seconds: number;
  /** Kills of a round at least: production waits for them. */
  readonly kills: number;
  readonly random: () => number;
  readonly log: (line: string) => void;
}

/** Calls `body` until it succeeds: the broker comes and goes. */
export async function insist<T>(body: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + 120_000; ; await sleep(300)) {
    try {
      return await body();
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

/** Produces the events over the seconds, in an order that mixes users, and again whatever was not acknowledged. */
export async function produce(
  broker: Broker,
  topic: string,
  { events, seconds, kills }: ChaosOptions,
  killed: () => number,
): Promise<void> {
  const producer = client(broker).producer();
  await insist(() => producer.connect());
  const size = Math.max(1, Math.round(events / (seconds * 4)));
  const stride = 7919; // a prime that divides no number of events used
  const started = Date.now();
  for (let from = 0; from < events; from += size) {
    const messages = Array.from({ length: Math.min(size, events - from) }, (_, k) => {
      const n = ((from + k) * stride) % events;
      return {
        key: `u${userOf(n)}`,
        value: JSON.stringify({ user: `u${userOf(n)}`, item: `i${itemOf(n)}`, n }),
      };
    });
    await insist(() => producer.send({ topic, messages, acks: -1 }));
    await sleep(Math.max(0, started + (1000 * seconds * (from + size)) / events - Date.now()));
    // A slow machine gets the faults it is due.
    for (const until = Date.now() + 60_000; killed() < (kills * from) / events; await sleep(50))
      if (Date.now() > until)
        throw new Error(`${topic}: no process came to the point of being killed for a minute`);
  }
  await producer.disconnect();
}
