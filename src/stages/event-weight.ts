import type { Rejection, WeightRules } from '../contracts/index.js';
import { absent, describe } from './identifier.js';
import { numeric } from './number.js';

/** Largest fixed-point value of an interaction: its square times a user's weight (4,096 units) stays below 2⁵³ by far. */
export const maxFixedPoint = 2 ** 19;
/** Largest fixed-point weight of one event of a sum that is clamped: what the inbox can hold. */
const maxInbox = 2 ** 31 - 1;

/** The largest fixed-point weight that an event may have, or is clamped to; not for `binary`. */
export function largestWeight({ interactions, scale, maxWeight }: WeightRules): number {
  if (maxWeight === undefined) return maxFixedPoint;
  if (interactions === 'sum') return maxInbox;
  return Math.min(maxFixedPoint, Math.max(1, Math.round(maxWeight * scale)));
}

/**
 * The fixed-point weight of an event, `round(weight × scale)`. In `binary`, a weight says nothing: 1, but for a `set`
 * to 0 (code 2), which takes the interaction away. With `maxWeight`, larger weights are clamped instead of refused; a
 * sum is clamped as a whole, so its events keep their weights.
 */
export function fixedPoint(x: unknown, op: unknown, rules: WeightRules): number | Rejection {
  const { interactions, scale, maxWeight } = rules;
  const w = absent(x) ? 1 : numeric(x);
  if (w === undefined || !Number.isFinite(w)) {
    return { code: 'weight-type', reason: `weight: expected a finite number, found ${describe(x)}` };
  }
  if (w < 0) return { code: 'weight-negative', reason: `weight: expected a number ≥ 0, found ${w}` };
  if (interactions === 'binary') return w === 0 && op === 2 ? 0 : 1;
  const q = Math.round(w * scale);
  if (q === 0 && w > 0) {
    return { code: 'weight-too-small', reason: `weight: expected 0 or at least ${0.5 / scale}, found ${w}` };
  }
  const most = largestWeight(rules);
  if (maxWeight !== undefined) return Math.min(q, most);
  if (q > most) {
    return {
      code: 'weight-too-large',
      reason: `weight: expected at most ${most / scale}, found ${w}`,
    };
  }
  return q;
}
