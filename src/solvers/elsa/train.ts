import type { Report } from '../../gramian/columns.js';
import {
  chunks,
  type Dense,
  denseBytes,
  gramScratch,
  multiply,
  rowsOf,
  zeroDense,
} from '../../matrix/dense.js';
import { bestBytes } from '../../matrix/scratch.js';
import { type Arena, aligned } from '../../runtime/arena.js';
import type { Threads } from '../../runtime/threads.js';
import { lossAndGradient, type Passes, strips } from './gradient.js';

/** Decays of Adam's moments, as in the kernel. */
const [FIRST, SECOND] = [0.9, 0.99];

export interface TrainOptions {
  readonly steps: number;
  /** Step size at the start; it falls to nothing along a cosine. */
  readonly rate: number;
  /** Entries kept in a row of A; all without it. */
  readonly keep?: number | undefined;
}

/** Scratch of a thread that prunes. */
const pruneScratch = (keep: number): number => aligned(bestBytes(keep));

/** A_i := the `keep` largest entries of W_i, normalised. */
export function prune(arena: Arena, threads: Threads, W: Dense, A: Dense, keep: number): void {
  const mark = arena.mark();
  const scratchBytes = pruneScratch(keep);
  const scratch = arena.bytes(scratchBytes * threads.size, 'best entries of a row');
  const args = [W.rows, W.address, A.address, W.width, keep] as const;
  threads.run({ kernel: 'prune', tasks: chunks(W.rows), args, scratch, scratchBytes });
  arena.release(mark);
}

/** Times that the last step is halved when the loss has risen. */
const HALVINGS = 6;
/** Steps that may raise the loss: the moments are still young. */
const WARMUP = 3;

/**
 * Full-gradient ELSA: `steps` steps of Adam on W from where it is, A being W or its pruned rows. A step after the first three
 * that raises the loss is halved until it does not, or training ends before it. Returns the loss before every step, divided by
 * the users.
 */
export function train(
  arena: Arena,
  threads: Threads,
  p: Passes,
  W: Dense,
  A: Dense,
  { steps, rate, keep }: TrainOptions,
  report: Report = () => {},
): number[] {
  const mark = arena.mark();
  const adam = openAdam(arena, threads, p, W, A);
  const lossOf = () => {
    if (keep !== undefined) prune(arena, threads, W, A, keep);
    arena.f32(adam.G.address, W.rows * W.width).fill(0);
    return lossAndGradient(arena, threads, p, A, adam.G) / Math.max(1, p.users);
  };
  const losses: number[] = [];
  let [scale, alpha] = [1, 0];
  /** The loss after t steps, the last of them halved as often as it takes; nothing where that is too often. */
  const settle = (t: number): number | undefined => {
    let loss = lossOf();
    for (let halvings = 0; t >= WARMUP && !(loss <= losses[t - 1]!); halvings++) {
      if (halvings === HALVINGS) {
        adam.step(t, -alpha, true);
        return undefined;
      }
      alpha /= 2;
      scale /= 2;
      adam.step(t, -alpha, true);
      loss = lossOf();
    }
    return loss;
  };
  for (let t = 0; t < steps; t++) {
    report(t / steps);
    const loss = settle(t);
    if (loss === undefined) break;
    losses.push(loss);
    adam.moments();
    alpha = (scale * rate * (1 + Math.cos((Math.PI * t) / steps))) / 2;
    adam.step(t + 1, alpha, false);
  }
  if (keep !== undefined) prune(arena, threads, W, A, keep);
  arena.release(mark);
  return losses;
}

/** Bytes of `train`, for matrices that are `width` wide. */
export const trainBytes = (n: number, width: number, threads: number): number =>
  3 * denseBytes(n, width) + 8 * n + threads * Math.max(gramScratch, pruneScratch(width));

/** Adam's state for W. The gradient of the loss is by A. */
function openAdam(arena: Arena, threads: Threads, p: Passes, W: Dense, A: Dense) {
  const [G, first, second] = ['gradient', 'first moment', 'second moment'].map(what =>
    zeroDense(arena, W.rows, W.width, what),
  ) as [Dense, Dense, Dense];
  const norms = W === A ? arena.bytes(8 * W.rows, 'norms of the rows') : 0;
  return {
    G,
    /** Takes the gradient into the moments: G + 2 A M. */
    moments() {
      strips(W.rows, (lo, hi) => {
        const at = (part: Dense) => rowsOf(part, lo, hi).address;
        const Z = rowsOf(p.Z, 0, hi - lo);
        multiply(threads, rowsOf(A, lo, hi), p.M, Z);
        const args = [hi - lo, at(A), at(G), Z.address, at(first), at(second), W.width] as const;
        threads.run({ kernel: 'adamMoments', tasks: chunks(hi - lo), args });
      });
    },
    /** Moves W by −alpha, after `t` gradients; `again` from where the last step has taken it. */
    step(t: number, alpha: number, again: boolean) {
      const part = [W.rows, W.address, first.address, second.address, W.width] as const;
      const args = [...part, alpha / (1 - FIRST ** t), 1 - SECOND ** t, norms, Number(again)] as const;
      threads.run({ kernel: 'adamStep', tasks: chunks(W.rows), args });
    },
  };
}
