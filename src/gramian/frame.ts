/** How events lose weight with their age: settings of a state that may change. */
export interface Ageing {
  /** Events older than this (ms) do not count. */
  readonly windowMs?: number | undefined;
  /** Half-life (ms) of the weight of an event. */
  readonly halfLifeMs?: number | undefined;
  /** Fixed-point units of an event of weight 1 that is not aged. */
  readonly units: number;
  /** Most units of an interaction that is not aged. */
  readonly most: number;
}

/**
 * The view that X has of its events, by their time t (epoch ms): those before `edge` do not count, the others weigh
 * 2^⌊(t − landmark) / half-life⌋ times what they say, rounded towards zero. That is forward decay: X does not change while
 * time passes, only when the frame moves. (Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009, §3)
 */
export interface Frame {
  readonly windowMs?: number | undefined;
  readonly halfLifeMs?: number | undefined;
  /** Time of the newest event when the frame was made: the only clock there is, and one that does not go back. */
  readonly newest?: number | undefined;
  readonly edge?: number | undefined;
  /** A multiple of the half-life. */
  readonly landmark?: number | undefined;
}

/** The edge moves in steps of this share of the window, so that most folds need not look for what leaves. */
const stepsOfWindow = 100;
/** Half-lives for which an event of weight 1 counts: so many at least, and so many where there is room for them. */
const leastReach = 6;
const usualReach = 8;
/** Half-lives that pass before the landmark follows at the latest. */
const growth = 8;
/** Bits of a value of X. */
const valueBits = 30;

/** Half-lives from the landmark to the newest event: an event of today weighs 2 to this power. */
export const halfLivesOf = ({ newest = 0, landmark, halfLifeMs = 1 }: Frame): number =>
  landmark === undefined ? 0 : Math.floor((newest - landmark) / halfLifeMs);

/** Half-lives from the landmark to the newest event at least: nearer it does not come. */
export const leastHalfLives = ({ units }: Pick<Ageing, 'units'>): number =>
  Math.max(0, leastReach - Math.floor(Math.log2(units)));

/**
 * The frame once there is an event at `newest`. The landmark stays until it is too far away, or `rise` half-lives nearer
 * are asked for because sums of the Gramian would pass their bound.
 */
export function nextFrame(ageing: Ageing, present: Frame, newest: number | undefined, rise = 0): Frame {
  const { windowMs, halfLifeMs, most } = ageing;
  const times = [present.newest, newest].filter(time => time !== undefined);
  if ((windowMs === undefined && halfLifeMs === undefined) || times.length === 0) return {};
  const now = Math.max(...times);
  const step = windowMs && Math.max(1, Math.floor(windowMs / stepsOfWindow));
  const edge = step && step * Math.floor(now / step) - windowMs;
  if (halfLifeMs === undefined) return { windowMs, newest: now, edge };
  const least = leastHalfLives(ageing);
  const usual = least + usualReach - leastReach;
  const furthest = Math.min(usual + growth, valueBits - Math.ceil(Math.log2(most)));
  const known = present.halfLifeMs === halfLifeMs;
  const away = known ? halfLivesOf({ ...present, newest: now }) : usual;
  const half = Math.max(least, (away > furthest ? Math.min(usual, furthest) : away) - rise);
  const landmark = halfLifeMs * (Math.floor(now / halfLifeMs) - half);
  return { windowMs, halfLifeMs, newest: now, edge, landmark };
}

/** Whether X and its scale are the same in two frames. */
export const sameFrame = (a: Frame, b: Frame): boolean =>
  a.windowMs === b.windowMs && a.edge === b.edge && sameDecay(a, b) && halfLivesOf(a) === halfLivesOf(b);

/** Whether an event that counts in both frames weighs the same. */
export const sameDecay = (a: Frame, b: Frame): boolean =>
  a.halfLifeMs === b.halfLifeMs && a.landmark === b.landmark;
