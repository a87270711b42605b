import { expect, it } from 'vitest';
import type { Manifest } from '#src/contracts/manifest.js';
import {
  type GateOptions,
  gateOptions,
  type ModelMetrics,
  measureOptions,
  verdict,
} from '#src/evaluate/gate.js';
import type { Metrics } from '#src/evaluate/metrics.js';

const gate = gateOptions.parse({ minimum: 0.9 });
const measuredBy = (o: Partial<GateOptions> = {}) => measureOptions.strip().parse({ ...gate, ...o });
const model = (version: string, metrics?: ModelMetrics) => ({ version, metrics }) as Manifest;
const scored = (version: string, ndcg: number, o?: Partial<GateOptions>): Manifest =>
  model(version, { measured: measuredBy(o), quality: { ndcg, recall: 1 - ndcg } as Metrics });

it('passes from the minimum on, and says the numbers', () => {
  const published = scored('v1', 0.5);
  expect(verdict(gate, scored('v2', 0.45), published)).toEqual({
    version: 'v2',
    passed: true,
    reason: 'ndcg@20 0.4500 ≥ 0.9 × 0.5000 of the published model v1',
  });
  expect(verdict(gate, scored('v2', 0.449), published)).toMatchObject({
    passed: false,
    reason: 'ndcg@20 0.4490 < 0.9 × 0.5000 of the published model v1',
  });
  expect(verdict({ ...gate, metric: 'recall' }, scored('v2', 0.449), published).passed).toBe(true);
});

it('passes what cannot be compared, but not what could not be measured', () => {
  const low = scored('v2', 0.1);
  expect(verdict(gate, low, undefined).passed).toBe(true);
  expect(verdict(gate, low, scored('v2', 0.9)).passed).toBe(true);
  expect(verdict(gate, low, model('v1'))).toMatchObject({
    passed: true,
    reason: expect.stringMatching(/v1 was not measured/),
  });
  for (const o of [{ share: 0.3 }, { holdout: 'last' as const }, { k: 10 }, { sample: 7 }, { seed: 2 }])
    expect(verdict(gate, low, scored('v1', 0.9, o))).toMatchObject({
      passed: true,
      reason: expect.stringMatching(/otherwise/),
    });
  expect(verdict(gate, low, scored('v1', 0.9, { metric: 'recall' })).passed).toBe(false);
  const problem = { measured: measuredBy(), problem: 'all at one time' };
  expect(verdict(gate, model('v2', problem), scored('v1', 0))).toMatchObject({
    passed: false,
    reason: 'it could not be measured: all at one time',
  });
  expect(verdict(gate, model('v2'), scored('v1', 0)).passed).toBe(false);
});
