import { leaseLost } from './sink-steps.js';

/** A lease that is renewed in the background until `stop`. */
export interface HeldLease {
  /** Throws once a renewal was refused; it never comes back. */
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
