import { z } from 'zod';
import { StageError } from '../errors.js';
import { type MeasureOptions, measureOptions } from '../evaluate/gate.js';
import type { Metrics } from '../evaluate/metrics.js';
import { type FitOptions, solverNames } from '../solvers/index.js';

/** Options of a search, and its measure. */
export const tuneOptions = measureOptions.extend({
  solver: z.enum(solverNames).default('fsai').describe('solver whose options are searched'),
  trials: z.int().min(2).max(1000).default(24).describe('options to try, the present ones among them'),
});
export type TuneOptions = z.output<typeof tuneOptions>;

/** Options that were tried. */
export interface Trial {
  /** 0 has the present options. */
  readonly id: number;
  readonly options: FitOptions;
  /** Users of the last measurement. */
  readonly users: number;
  /** Its figures; nothing if the options could not be fitted. */
  readonly metrics: Metrics | undefined;
  readonly parameters: number;
  readonly fitSeconds: number;
  /** Why the options could not be fitted. */
  readonly problem?: string | undefined;
}

/** Figures of a trial. */
export type TrialFigures = Pick<Trial, 'parameters' | 'fitSeconds'> & { readonly metrics: Metrics };

/** Result of a search: `best` and `present` were measured on the same users. */
export interface TuneResult {
  readonly best: Trial;
  readonly present: Trial;
  /** Best first: those that came furthest, and of these the better. */
  readonly trials: readonly Trial[];
}

/** The winner of a search, as a state keeps it for the refits that follow. */
export interface TunedOptions {
  readonly fit: FitOptions;
  /** The configured options that it won against: it stands for no others. */
  readonly base: FitOptions;
  readonly measured: TuneOptions;
  /** The metric of the winner and of the options it replaced, on the same users. */
  readonly found: number;
  readonly before: number;
  /** Epoch ms. */
  readonly at: number;
}

/** Input of a search. */
export interface TuneSetting {
  readonly present: FitOptions;
  readonly options: TuneOptions;
  /** Other options, as many as are asked for. */
  candidate(index: number): FitOptions;
  /** Users that can be measured. */
  readonly users: number;
  /** Whether options can be fitted within the memory. */
  fits(options: FitOptions): boolean;
  /** Fits the options of trial `id`, unless that is done, and measures the first `users` users. */
  measure(id: number, options: FitOptions, users: number): Promise<TrialFigures>;
  /** Trial `id` goes no further. */
  drop(id: number): void;
  readonly report?: ((stage: string, part: number) => void) | undefined;
}

/** A third of the trials go on to the next rung, where three times the users are measured. */
const reduction = 3;
/** With fewer users a rung would choose by chance. */
const fewestUsers = 400;

/** Users of each rung of a search, ascending; the last rung has them all. */
export function rungs(trials: number, users: number): number[] {
  const count = 1 + Math.floor(Math.log(Math.max(1, trials)) / Math.log(reduction) + 1e-9);
  const sizes = Array.from({ length: count }, (_, r) => Math.ceil(users / reduction ** (count - 1 - r)));
  return sizes.filter((size, r) => r === count - 1 || size >= fewestUsers);
}

/**
 * Successive halving (Jamieson & Talwalkar 2016) over users: every trial is fitted on all train rows and measured on a
 * few users, the best third on three times as many, and so on. The present options are measured on every rung. The
 * seed decides what is tried, and with it what wins.
 *
 * @throws StageError what a fit of the present options fails with.
 */
export async function tune(setting: TuneSetting): Promise<TuneResult> {
  const sizes = rungs(setting.options.trials, setting.users);
  const out: Trial[] = [];
  let running: readonly Candidate[] = draw(setting);
  for (const [rung, users] of sizes.entries()) {
    const last = rung === sizes.length - 1;
    const keep = last ? running.length : Math.ceil(running.length / reduction);
    const found = await measureRung(setting, running, users, keep, (trial, best) =>
      setting.report?.(
        `rung ${rung + 1} of ${sizes.length} (${users} users), trial ${trial + 1} of ${running.length}${best}`,
        (rung + trial / running.length) / sizes.length,
      ),
    );
    const going = found.filter((t, r) => t.id === 0 || (t.metrics && r < keep));
    out.unshift(...found.filter(t => !going.includes(t)));
    if (last) return { best: going[0]!, present: going.find(t => t.id === 0)!, trials: [...going, ...out] };
    running = going;
  }
  throw new StageError('INTERNAL', 'tune: expected a rung, found none');
}

type Candidate = Pick<Trial, 'id' | 'options'>;

/** The present options, and candidates that fit the memory; fewer than asked for where hardly any do. */
function draw({ present, options: { trials }, candidate, fits }: TuneSetting): Candidate[] {
  const drawn: Candidate[] = [{ id: 0, options: present }];
  for (let index = 0; drawn.length < trials && index < 20 * trials; index++) {
    const options = candidate(index);
    if (fits(options)) drawn.push({ id: drawn.length, options });
  }
  return drawn;
}

/** Measures the trials of one rung, best first; only the `keep` best and the present options keep their model. */
async function measureRung(
  setting: TuneSetting,
  running: readonly Candidate[],
  users: number,
  keep: number,
  report: (trial: number, best: string) => void,
): Promise<Trial[]> {
  const { metric, k } = setting.options;
  const found: Trial[] = [];
  for (const [trial, { id, options }] of running.entries()) {
    const best = found[0]?.metrics;
    report(trial, best ? `, best ${metric}@${k} ${best[metric].toFixed(4)}` : '');
    found.push({ id, options, users, ...(await attempt(setting, id, options, users)) });
    found.sort((a, b) => compare(metric, a, b));
    for (const t of found.slice(keep)) if (t.id !== 0) setting.drop(t.id);
  }
  return found;
}

/** Measures a trial; that other options than the present ones cannot be fitted is a result. */
async function attempt(setting: TuneSetting, id: number, options: FitOptions, users: number) {
  try {
    return await setting.measure(id, options, users);
  } catch (error) {
    const unfit =
      error instanceof StageError && ['NOT_POSITIVE_DEFINITE', 'MEMORY_BUDGET'].includes(error.code);
    if (!unfit || id === 0) throw error;
    return { metrics: undefined, parameters: 0, fitSeconds: 0, problem: error.message };
  }
}

/** The better trial first; of equals the smaller, then the earlier. */
function compare(metric: MeasureOptions['metric'], a: Trial, b: Trial): number {
  const [x, y] = [a.metrics?.[metric] ?? -1, b.metrics?.[metric] ?? -1];
  return y - x || a.parameters - b.parameters || a.id - b.id;
}
