import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { isRunning } from '../runtime/running.js';
import { leaseLost } from './sink-steps.js';

/**
 * The holder of a lease is one attempt, as text: the owner it writes for, a token that no other attempt has, and the
 * process it runs in. Stores keep the text and compare it whole.
 */
export const newHolder = (owner: string): string =>
  JSON.stringify({ owner, token: randomUUID(), host: hostname(), pid: process.pid });

interface Holder {
  readonly owner: string;
  readonly host?: string;
  readonly pid?: number;
}

/** Reads a holder; earlier releases stored the owner alone. */
function read(text: string): Holder {
  if (!text.startsWith('{')) return { owner: text };
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return { owner: text };
  }
}

/** The holder of a lease, for messages. */
export function holderName(text: string): string {
  const { owner, host, pid } = read(text);
  return host === undefined ? owner : `${owner} (process ${pid} on ${host})`;
}

/**
 * Whether `holder` may take a lease that `found` has and that has not run out: an attempt of the same owner in the same
 * process, or in one of this machine that has died. Copies of one state in two processes keep each other out.
 */
export function mayFollow(found: string, holder: string): boolean {
  const [before, after] = [read(found), read(holder)];
  if (before.owner !== after.owner) return false;
  if (before.host === undefined) return true;
  return before.host === after.host && (before.pid === after.pid || !isRunning(before.pid!));
}

/** Whether the process that has a lease, of `owner` if one is given, was one of this machine and has died. */
export function hasDied(found: string, owner?: string): boolean {
  const { host, pid, owner: whose } = read(found);
  return (owner ?? whose) === whose && host === hostname() && pid !== undefined && !isRunning(pid);
}

/** A lease that is renewed in the background until `stop`. */
export interface HeldLease {
  /** Throws once a renewal was refused: a lease that was lost never comes back. */
  assertHeld(): void;
  /** Ends the renewals and waits for the one under way. */
  stop(): Promise<void>;
}

/**
 * Renews a lease of `leaseMs` three times while it lasts. `renew` says whether it is still held; what it throws is
 * ignored, because the step under way meets the same failure.
 */
export function holdLease(leaseMs: number, renew: () => Promise<boolean>): HeldLease {
  let held = true;
  let renewal = Promise.resolve();
  const timer = setInterval(() => {
    renewal = renewal
      .then(renew)
      .then(still => {
        held &&= still;
      })
      .catch(() => undefined);
  }, leaseMs / 3).unref();
  return {
    assertHeld() {
      if (!held) throw leaseLost();
    },
    stop() {
      clearInterval(timer);
      return renewal;
    },
  };
}
