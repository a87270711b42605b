import type { Report } from '../../gramian/columns.js';
import {
  chunks,
  clear,
  type Dense,
  denseBytes,
  gramScratch,
  multiply,
  rowsOf,
  zeroDense,
} from '../../matrix/dense.js';
import type { Arena } from '../../runtime/arena.js';
import type { Threads } from '../../runtime/threads.js';
import { lossAndGradient, type Passes, strips } from './gradient.js';

/** Decays of Adam's moments, as in the kernel. */
const [FIRST, SECOND] = [0.9, 0.99];

export interface TrainOptions {
  readonly steps: number;
  /** Step size at the start; it falls to nothing along a cosine. */
  readonly rate: number;
}

/** ELSA's loss of A as a function of the W that is trained. */
export interface Objective {
  /** Whether A is W, whose rows are kept at unit norm. */
  readonly normalized: boolean;
  /** The loss at W; G becomes its gradient by A, less the part that goes through AᵀA. */
  loss(G: Dense): number;
  /** Rows lo … hi of A and of AM, M = Yᵀ diag(h) Y, as of the last loss. */
  rows(lo: number, hi: number): { readonly A: Dense; readonly AM: Dense };
  /** Makes W the A that it stands for. */
  finish(): void;
}

/** The objective of A = W. */
export const denseObjective = (arena: Arena, threads: Threads, p: Passes, A: Dense): Objective => ({
  normalized: true,
  loss(G) {
    clear(arena, G);
    return lossAndGradient(arena, threads, p, A, G);
  },
  rows(lo, hi) {
    const [part, AM] = [rowsOf(A, lo, hi), rowsOf(p.Z, 0, hi - lo)];
    multiply(threads, part, p.M, AM);
    return { A: part, AM };
  },
  finish() {},
});

/** Times that the last step is halved when the loss has risen. */
const HALVINGS = 6;
/** Steps that may raise the loss: the moments are still young. */
const WARMUP = 3;

/**
 * Full-gradient ELSA: `steps` steps of Adam on W from where it is. A step after the first three that raises the loss is halved
 * until it does not, or training ends before it. Returns the loss before every step, divided by the users.
 */
export function train(
  arena: Arena,
  threads: Threads,
  p: Passes,
  W: Dense,
  objective: Objective,
  { steps, rate }: TrainOptions,
  report: Report = () => {},
): number[] {
  const mark = arena.mark();
  const adam = openAdam(arena, threads, W, objective);
  const lossOf = () => objective.loss(adam.G) / Math.max(1, p.users);
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
  objective.finish();
  arena.release(mark);
  return losses;
}

/** Bytes of `train`, for matrices that are `width` wide. */
export const trainBytes = (n: number, width: number, threads: number): number =>
  3 * denseBytes(n, width) + 8 * n + threads * gramScratch;

/** Adam's state for W. The gradient of the loss is by A. */
function openAdam(arena: Arena, threads: Threads, W: Dense, objective: Objective) {
  const [G, first, second] = ['gradient', 'first moment', 'second moment'].map(what =>
    zeroDense(arena, W.rows, W.width, what),
  ) as [Dense, Dense, Dense];
  const norms = objective.normalized ? arena.bytes(8 * W.rows, 'norms of the rows') : 0;
  return {
    G,
    /** Takes the gradient into the moments: G + 2 A M. */
    moments() {
      strips(W.rows, (lo, hi) => {
        const at = (part: Dense) => rowsOf(part, lo, hi).address;
        const { A, AM } = objective.rows(lo, hi);
        const args = [hi - lo, A.address, at(G), AM.address, at(first), at(second), W.width] as const;
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
