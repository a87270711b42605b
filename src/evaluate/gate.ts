import { z } from 'zod';
import type { Metrics } from './metrics.js';
import { holdoutOptions } from './options.js';

/** The measure of a refit: a metric on a holdout of the state. */
export const measureOptions = holdoutOptions.extend({
  metric: z.enum(['ndcg', 'recall', 'hitRate', 'mrr']).default('ndcg').describe('what decides'),
  k: z.int().min(1).max(1000).default(20).describe('cut-off of the metrics'),
  sample: z.int().min(1).default(5000).describe('users to measure, drawn by the seed'),
});
export type MeasureOptions = z.output<typeof measureOptions>;

/** When a new model may be published. */
export const gateOptions = measureOptions.extend({
  minimum: z
    .number()
    .min(0)
    .default(0.95)
    .describe("least metric of a model that is published, as a share of the published model's"),
});
export type GateOptions = z.output<typeof gateOptions>;

/** The gate's measurement of a model: a fit with the same options on a holdout of the state of that moment. */
export interface ModelMetrics {
  readonly measured: MeasureOptions;
  /** Where a time split cut, ISO 8601. */
  readonly cut?: string | undefined;
  readonly quality?: Metrics | undefined;
  /** Share of the held-out interactions of users who are new behind the cut: the measure says nothing about these. */
  readonly unjudged?: number | undefined;
  /** Why it could not be measured. */
  readonly problem?: string | undefined;
}

/** A model as the gate sees it. */
export interface GatedModel {
  readonly version: string;
  readonly metrics?: ModelMetrics | undefined;
}

/** Whether a model may be published, and why. */
export interface Verdict {
  readonly version: string;
  readonly passed: boolean;
  readonly reason: string;
}

/**
 * Compares the metrics of a model with those of the published one. Without anything to compare with the model passes. A
 * model that could not be measured does not pass.
 */
export function verdict(
  gate: GateOptions,
  candidate: GatedModel,
  published: GatedModel | undefined,
): Verdict {
  const { metric, k, minimum } = gate;
  const { version, metrics } = candidate;
  const told = (passed: boolean, reason: string): Verdict => ({ version, passed, reason });
  if (!published || published.version === version) return told(true, 'there is no other published model');
  const known = published.metrics;
  if (!known?.quality) return told(true, `the published model ${published.version} was not measured`);
  if (!metrics?.quality)
    return told(false, `it could not be measured: ${metrics?.problem ?? 'the gate was off'}`);
  if (!alike(known.measured, metrics.measured))
    return told(true, `the published model ${published.version} was measured otherwise`);
  const [found, before] = [metrics.quality[metric], known.quality[metric]];
  const passed = found >= minimum * before;
  const sign = passed ? '≥' : '<';
  const compared = `${metric}@${k} ${found.toFixed(4)} ${sign} ${minimum} × ${before.toFixed(4)} of the published model ${published.version}`;
  const { unjudged = 0 } = metrics;
  const blind = `; ${Math.round(100 * unjudged)}% of the held-out interactions are of new users and were not judged`;
  return told(passed, unjudged > 0.5 ? compared + blind : compared);
}

/** Whether two measurements can be compared: all but the metric, which both have. */
function alike(a: MeasureOptions, b: MeasureOptions): boolean {
  const text = ({ holdout, share, cut, sample, seed, k }: MeasureOptions) =>
    JSON.stringify([holdout, share, cut, sample, seed, k]);
  return text(a) === text(b);
}
