import { CHUNK, type Dense, multiply, rowsOf, zeroDense } from '../../matrix/dense.js';
import type { Arena } from '../../runtime/arena.js';
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

/** A_i := the `keep` largest entries of W_i, normalised. */
export function prune(arena: Arena, threads: Threads, W: Dense, A: Dense, keep: number): void {
  const mark = arena.mark();
  const scratchBytes = Math.ceil((16 + 12 * keep) / 64) * 64;
  const scratch = arena.bytes(scratchBytes * threads.size, 'best entries of a row');
  const args = [W.rows, W.address, A.address, W.width, keep];
  threads.run({ kernel: 'prune', tasks: Math.ceil(W.rows / CHUNK), args, scratch, scratchBytes });
  arena.release(mark);
}

/**
 * Full-gradient ELSA: `steps` steps of Adam on W from where it is, A being W or its pruned rows. Returns the loss before every
 * step, divided by the users.
 */
export function train(
  arena: Arena,
  threads: Threads,
  p: Passes,
  W: Dense,
  A: Dense,
  { steps, rate, keep }: TrainOptions,
  report: (fraction: number) => void = () => {},
): number[] {
  const mark = arena.mark();
  const [G, first, second] = ['gradient', 'first moment', 'second moment'].map(what =>
    zeroDense(arena, W.rows, W.width, what),
  ) as [Dense, Dense, Dense];
  const losses: number[] = [];
  for (let t = 1; t <= steps; t++) {
    report((t - 1) / steps);
    if (keep !== undefined) prune(arena, threads, W, A, keep);
    losses.push(lossAndGradient(arena, threads, p, A, G) / Math.max(1, p.users));
    const now = (rate / 2) * (1 + Math.cos((Math.PI * (t - 1)) / steps));
    strips(W.rows, (lo, hi) => {
      const Z = rowsOf(p.Z, 0, hi - lo);
      multiply(threads, rowsOf(A, lo, hi), p.M, Z);
      const parts = [A, W, G].map(part => rowsOf(part, lo, hi).address);
      const moments = [first, second].map(part => rowsOf(part, lo, hi).address);
      const args = [hi - lo, ...parts, Z.address, ...moments, W.width, now, 1 - FIRST ** t, 1 - SECOND ** t];
      threads.run({ kernel: 'adam', tasks: Math.ceil((hi - lo) / CHUNK), args });
    });
  }
  if (keep !== undefined) prune(arena, threads, W, A, keep);
  arena.release(mark);
  return losses;
}
