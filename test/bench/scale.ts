import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type BenchOptions, median, runCli, writeResult } from './environment.js';

/** One synthetic data set and the settings it is fitted with. */
interface Point {
  readonly n: number;
  readonly interactions: number;
  readonly density: number;
}

interface Measured extends Point {
  readonly pairs: number;
  readonly fitSeconds: number;
  readonly peakRssBytes: number;
}

const seed = 1;
const base: Point = { n: 20_000, interactions: 800_000, density: 2e-4 };

/** Each series moves one quantity and keeps the others. */
const series: Readonly<
  Record<string, { readonly x: (m: Measured) => number; readonly points: readonly Point[] }>
> = {
  n: {
    x: m => m.n,
    points: [5_000, 10_000, 20_000, 40_000, 80_000].map(n => ({ ...base, n, density: 4 / n })),
  },
  nnz: {
    x: m => m.interactions,
    points: [200_000, 400_000, 800_000, 1_600_000, 3_200_000].map(interactions => ({
      ...base,
      interactions,
    })),
  },
  density: {
    x: m => m.density,
    points: [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3].map(density => ({ ...base, density })),
  },
};

/**
 * Interactions of users with 8 to 200 items each, items drawn with a popularity ~ 1/rank^0.7 that a user's
 * taste shifts; the last fifth is the test set. Written as Parquet; returns Σ d_u² of the train set.
 */
async function generate(directory: string, { n, interactions }: Point): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB' });
  const connection = await instance.connect();
  // hash() is seeded by its argument, so that the data are the same on every machine.
  const uniform = (k: string) => `((hash(${k}, ${seed}) >> 11) / 9007199254740992.0)`;
  await connection.run(`CREATE TABLE pairs AS
    WITH users AS (SELECT u, (8 + 192 * pow(${uniform('u')}, 6))::INTEGER AS d FROM range(${Math.ceil(interactions / 22)}) t(u)),
    draws AS (SELECT u, unnest(range(d)) AS k FROM users)
    SELECT DISTINCT u AS "user",
      (floor(pow(${uniform("concat('i', u, ':', k)")}, 2.5) * ${n}) + (hash(u) % 64) * ${Math.floor(n / 64)})::BIGINT % ${n} AS item
    FROM draws`);
  await connection.run(
    `COPY (SELECT * FROM pairs WHERE hash("user", item) % 5 > 0 ORDER BY ALL) TO '${join(directory, 'train.parquet')}'`,
  );
  await connection.run(
    `COPY (SELECT * FROM pairs WHERE hash("user", item) % 5 = 0 ORDER BY ALL) TO '${join(directory, 'test.parquet')}'`,
  );
  const pairs = await connection.runAndReadAll(
    'SELECT sum(d * d)::DOUBLE FROM (SELECT count(*) AS d FROM pairs WHERE hash("user", item) % 5 > 0 GROUP BY "user")',
  );
  connection.closeSync();
  instance.closeSync();
  return Number(pairs.getRowsJS()[0]![0]);
}

/** Slope of log y over log x by least squares: y ~ x^slope. */
function exponent(x: readonly number[], y: readonly number[]): number {
  const [lx, ly] = [x.map(Math.log), y.map(Math.log)];
  const mean = (v: readonly number[]) => v.reduce((s, a) => s + a, 0) / v.length;
  const [mx, my] = [mean(lx), mean(ly)];
  const covariance = lx.reduce((s, a, k) => s + (a - mx) * (ly[k]! - my), 0);
  return covariance / lx.reduce((s, a) => s + (a - mx) ** 2, 0);
}

/** Log–log plots of fit time and peak memory, one row a series. */
export function plot(measured: Readonly<Record<string, readonly Measured[]>>): string {
  const [width, height, pad] = [320, 200, 44];
  const parts: string[] = [];
  Object.entries(measured).forEach(([name, points], row) => {
    const x = points.map(series[name]!.x);
    (['fitSeconds', 'peakRssBytes'] as const).forEach((quantity, column) => {
      const y = points.map(p => (quantity === 'fitSeconds' ? p.fitSeconds : p.peakRssBytes / 2 ** 20));
      const scaleOf = (v: readonly number[], size: number) => {
        const [lo, hi] = [Math.log(Math.min(...v)), Math.log(Math.max(...v))];
        return (a: number) => ((Math.log(a) - lo) / Math.max(hi - lo, 1e-9)) * size;
      };
      const [sx, sy] = [scaleOf(x, width - 2 * pad), scaleOf(y, height - 2 * pad)];
      const [left, top] = [column * width, row * height];
      const at = (k: number) =>
        `${(left + pad + sx(x[k]!)).toFixed(1)},${(top + height - pad - sy(y[k]!)).toFixed(1)}`;
      const label = quantity === 'fitSeconds' ? 'fit, s' : 'peak memory, MiB';
      parts.push(
        `<polyline fill="none" stroke="#2563eb" stroke-width="2" points="${x.map((_, k) => at(k)).join(' ')}"/>`,
        ...x.map(
          (_, k) => `<circle cx="${at(k).split(',')[0]}" cy="${at(k).split(',')[1]}" r="3" fill="#2563eb"/>`,
        ),
        `<text x="${left + pad}" y="${top + 24}" font-weight="bold">${label} over ${name}: exponent ${exponent(x, y).toFixed(2)}</text>`,
        ...[0, x.length - 1].map(
          k =>
            `<text x="${at(k).split(',')[0]}" y="${top + height - 22}" text-anchor="middle">${x[k]!.toPrecision(2)}</text>`,
        ),
        ...[0, x.length - 1].map(
          k =>
            `<text x="${left + pad - 6}" y="${at(k).split(',')[1]}" text-anchor="end">${y[k]!.toPrecision(2)}</text>`,
        ),
      );
    });
  });
  const size = `width="${2 * width}" height="${height * parts.length}"`;
  const rows = Object.keys(measured).length;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size.replace(/height="\d+"/, `height="${rows * height}"`)} font-family="sans-serif" font-size="10">
<rect width="100%" height="100%" fill="white"/>
${parts.join('\n')}
</svg>
`;
}

/** How fit time and peak memory grow with n, nnz and density on generated data; also draws `scale.svg`. */
export async function benchScale({ runs, log }: BenchOptions): Promise<object> {
  const measured: Record<string, Measured[]> = {};
  for (const [name, { points }] of Object.entries(series)) {
    measured[name] = [];
    for (const point of points) {
      const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-scale-'));
      try {
        const pairs = await generate(directory, point);
        const files = [
          '--train',
          join(directory, 'train.parquet'),
          '--test',
          join(directory, 'test.parquet'),
        ];
        const runOnce = () =>
          runCli(['evaluate', ...files, '--density', String(point.density), '--threads', '2']);
        const outcomes = Array.from({ length: runs }, runOnce);
        const m: Measured = {
          ...point,
          n: Number(outcomes[0]!.items),
          interactions: Number(outcomes[0]!.interactions),
          pairs,
          fitSeconds: median(outcomes.map(o => Number(o.fitSeconds))),
          peakRssBytes: median(outcomes.map(o => Number(o.peakRssBytes))),
        };
        measured[name]!.push(m);
        log(
          `${name}: n ${m.n}, nnz ${m.interactions}, density ${m.density}: ${m.fitSeconds.toFixed(2)} s, ${(m.peakRssBytes / 2 ** 20).toFixed(0)} MiB`,
        );
      } finally {
        rmSync(directory, { recursive: true });
      }
    }
  }
  writeResult('scale.svg', plot(measured));
  const exponents = Object.fromEntries(
    Object.entries(measured).map(([name, points]) => {
      const x = points.map(series[name]!.x);
      return [
        name,
        {
          fitSeconds: exponent(
            x,
            points.map(p => p.fitSeconds),
          ),
          peakRssBytes: exponent(
            x,
            points.map(p => p.peakRssBytes),
          ),
        },
      ];
    }),
  );
  const all = Object.values(measured).flat();
  const perPair = exponent(
    all.map(m => m.pairs),
    all.map(m => m.fitSeconds),
  );
  return { seed, runs, exponents: { ...exponents, pairs: { fitSeconds: perPair } }, points: measured };
}
