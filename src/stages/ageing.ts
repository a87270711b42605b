import type { FrameMove } from '../contracts/index.js';
import type { Manifest } from '../contracts/manifest.js';
import { lacksMemory } from '../errors.js';
import { type Frame, halfLivesOf, sameDecay, sameFrame } from '../gramian/frame.js';
import type { GramianState } from '../gramian/plan.js';
import { largestEnergy } from '../gramian/weights.js';
import type { PipelineParts } from './parts.js';
import { mergeSegments, replaceSegments, segmentBuilder } from './segments.js';

/** The bound on sums of squares of X: for the weights of users that fits want, and that segments have. */
export const energyOf = ({ options }: PipelineParts, state: GramianState | undefined): number =>
  largestEnergy(options.fit.userWeighting || (state?.userWeighting ?? 0));

/** Whether a fold would move the frame although no event waits: the settings of age have changed. */
export async function frameIsDue({ store }: PipelineParts): Promise<boolean> {
  return !sameFrame(await store.frame(), await store.nextFrame());
}

/** Fixed-point units of an event of weight 1 in the half-life of the newest event: fits see its weight as 1. */
export const presentScale = async ({ store, scale }: PipelineParts): Promise<number> =>
  scale * 2 ** halfLivesOf(await store.frame());

/** What of the events counts now, for a manifest; `undefined` where nothing ages. */
export async function ageingNow({ store }: PipelineParts): Promise<Manifest['ageing']> {
  const frame = await store.frame();
  if (frame.newest === undefined) return undefined;
  const iso = (time: number | undefined) => (time === undefined ? undefined : new Date(time).toISOString());
  const { edge, halfLifeMs, landmark } = frame;
  const halfLives = landmark === undefined ? undefined : halfLivesOf(frame);
  return { since: iso(edge), halfLifeMs, landmark: iso(landmark), halfLives };
}

/** A move of the edge as an update of the stored Gramian; `undefined` where there is none to update, or no memory for it. */
async function moveEdge(
  parts: PipelineParts,
  frame: Frame,
  state: GramianState | undefined,
  signal?: AbortSignal,
): Promise<FrameMove | undefined> {
  const build = segmentBuilder(parts, state, signal);
  if (!build) return undefined;
  try {
    const moved = await parts.store.reframe(frame, build, energyOf(parts, state), state?.maxHistory);
    await mergeSegments(parts, false, signal);
    return moved;
  } catch (error) {
    if (!lacksMemory(error)) throw error;
    return undefined;
  }
}

/** A move of the landmark. Nobody reads segments while the mode is implicit; the Gramian is made anew after that. */
async function moveLandmark(
  parts: PipelineParts,
  frame: Frame,
  state: GramianState | undefined,
  energy: number,
): Promise<FrameMove> {
  const { store } = parts;
  if (state?.mode === 'stored') {
    await store.setGramian({ mode: 'implicit', userWeighting: state.userWeighting });
    await replaceSegments(parts, await store.segments(), undefined);
  }
  return store.reframe(frame, undefined, energy);
}

/**
 * Moves X to the frame that the events call for which are taken in, with a landmark that is `rise` half-lives nearer where
 * sums ask for it. Returns whether it moved; the caller settles the Gramian then.
 */
export async function keepFrame(parts: PipelineParts, rise = 0, signal?: AbortSignal): Promise<boolean> {
  const { store, log } = parts;
  const state = await store.gramian();
  let last: Frame | undefined;
  for (let asked = rise; ; ) {
    const [present, next] = [await store.frame(), await store.nextFrame(asked)];
    if (sameFrame(present, next)) return last !== undefined;
    const edge = sameDecay(present, next) ? await moveEdge(parts, next, state, signal) : undefined;
    // The landmark comes no nearer than it can: a fit says what is too large.
    const energy = last && sameFrame(last, next) ? Number.POSITIVE_INFINITY : energyOf(parts, state);
    const moved = edge ?? (await moveLandmark(parts, next, state, energy));
    last = next;
    if (moved.rise !== undefined) asked += moved.rise;
    else {
      log.info({ edge: next.edge, landmark: next.landmark, users: moved.users }, 'events grew old');
      return true;
    }
  }
}
