import { parseArgs } from 'node:util';
import { kafkaChaos } from './kafka-chaos.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    rounds: { type: 'string' },
    events: { type: 'string' },
    seconds: { type: 'string' },
    kills: { type: 'string' },
    seed: { type: 'string' },
  },
});
if (positionals[0] !== 'kafka') {
  process.stderr.write(
    'usage: npm run -s chaos -- kafka [--rounds N] [--events N] [--seconds N] [--kills N] [--seed N] [--json]\n',
  );
  process.exit(2);
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const result = await kafkaChaos({
  rounds: Number(values.rounds ?? 1),
  events: Number(values.events ?? 1_000_000),
  seconds: Number(values.seconds ?? 180),
  kills: Number(values.kills ?? 20),
  random: seeded(Number(values.seed ?? 1)),
  log: line => process.stderr.write(`${line}\n`),
});
process.stdout.write(`${JSON.stringify(result, null, values.json ? 0 : 2)}\n`);
const { lost, duplicated, verifyDiffering, gramianDiffering } = result;
process.exitCode = lost + duplicated + verifyDiffering + gramianDiffering === 0 ? 0 : 1;
