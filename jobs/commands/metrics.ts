import { type Measure, type Metrics, measures } from '../../src/evaluate/metrics.js';
import { count } from '../command.js';

/** The name of a measure with its cut-off. */
export const titleOf = (measure: Measure, k: number): string =>
  measure === 'novelty' ? measure : `${measure}@${k}`;

/** The metrics under the names they have in JSON: `recall@20`, `recallError`, …, `coverage`, `users`. */
export function metricsJson(metrics: Metrics, k: number): Record<string, unknown> {
  const { coverage, users, intervals } = metrics;
  return {
    ...Object.fromEntries(measures.map(m => [titleOf(m, k), metrics[m]])),
    ...Object.fromEntries(measures.map(m => [`${m}Error`, metrics[`${m}Error`]])),
    coverage,
    users,
    ...(intervals && {
      intervals: Object.fromEntries(measures.map(m => [titleOf(m, k), intervals[m]])),
    }),
  };
}

/** The metrics as lines of text. */
export function metricsText(metrics: Metrics, k: number): string[] {
  const line = (m: Measure): string => {
    const interval = metrics.intervals?.[m].map(x => x.toFixed(4)).join(' … ');
    const value = `${metrics[m].toFixed(4)} ± ${metrics[`${m}Error`].toFixed(4)}`;
    return `${titleOf(m, k).padEnd(12)}${value}${interval ? `   95% ${interval}` : ''}`;
  };
  return [
    ...measures.map(line),
    `${'coverage'.padEnd(12)}${metrics.coverage.toFixed(4)}`,
    `${count(metrics.users)} users`,
  ];
}
