import { kafkaChaos } from '../bench/kafka-chaos.js';
import { readArguments } from '../support/arguments.js';
import { sayingLacks } from '../support/lacks.js';
import { seeded } from '../support/random.js';
import { chaosCrash } from './crash/crash.js';
import { chaosHistory } from './history.js';
import { chaosLeases } from './leases.js';
import { chaosPublish } from './publish.js';
import { pipeTrial, pushTrial } from './streams.js';

/** What a trial is told on its command line. */
export interface ChaosOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly log: (line: string) => void;
}

const usage = `usage: npm run -s chaos -- kafka [--rounds N] [--events N] [--seconds N] [--kills N] [--seed N] [--json]
       npm run -s chaos -- history [--kills N] [--events N] [--seed N] [--json]
       npm run -s chaos -- leases [--rounds N] [--sinks lmdb,redis,…] [--seed N] [--json]
       npm run -s chaos -- streams [--events N] [--kills N] [--seed N] [--json]
       npm run -s chaos -- publish [--rounds N] [--seed N] [--json]
       npm run -s chaos -- crash [--kills N] [--seed N] [--only TRIAL|SCENARIO [--at BLOWS]] [--json]`;
const { values, positionals } = readArguments(usage, {
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    rounds: { type: 'string' },
    seed: { type: 'string' },
    events: { type: 'string' },
    seconds: { type: 'string' },
    kills: { type: 'string' },
    only: { type: 'string' },
    at: { type: 'string' },
    sinks: { type: 'string' },
  },
});

/** Each trial with whether it went well. */
const trials: Readonly<Record<string, () => Promise<{ readonly result: object; readonly ok: boolean }>>> = {
  async kafka() {
    const result = await kafkaChaos({
      rounds: Number(values.rounds ?? 1),
      events: Number(values.events ?? 1_000_000),
      seconds: Number(values.seconds ?? 180),
      kills: Number(values.kills ?? 20),
      random: seeded(Number(values.seed ?? 1)),
      log,
    });
    const { lost, duplicated, verifyDiffering, gramianDiffering } = result;
    return { result, ok: lost + duplicated + verifyDiffering + gramianDiffering === 0 };
  },
  async history() {
    const result = await chaosHistory({
      kills: Number(values.kills ?? 20),
      events: Number(values.events ?? 60_000),
      random: seeded(Number(values.seed ?? 1)),
      log,
    });
    const { kills, killsInHistory, differing, verifyDiffering } = result;
    const between = killsInHistory > 0 && killsInHistory < kills;
    return { result, ok: between && differing + verifyDiffering === 0 };
  },
  async leases() {
    const result = await chaosLeases({
      rounds: Number(values.rounds ?? 20),
      kinds: (values.sinks ?? 'lmdb,redis,files,duckdb,kafka').split(','),
      random: seeded(Number(values.seed ?? 1)),
      log,
    });
    return { result, ok: result.incomplete.length === 0 && result.published > 0 };
  },
  async publish() {
    const rounds = Number(values.rounds ?? 50);
    const result = await chaosPublish({ rounds, seed: Number(values.seed ?? 1), log });
    return { result, ok: result.failures.length === 0 };
  },
  async streams() {
    const shared = { kills: Number(values.kills ?? 10), random: seeded(Number(values.seed ?? 1)), log };
    const pipe = await pipeTrial({ ...shared, lines: Number(values.events ?? 1_000_000) });
    const push = await pushTrial({ ...shared, requests: 1000 });
    return { result: { pipe, push }, ok: [pipe, push].every(c => c.lost === 0 && !c.twice) };
  },
  async crash() {
    const { only, at } = values;
    const result = await chaosCrash({
      kills: Number(values.kills ?? 300),
      seed: Number(values.seed ?? 1),
      only,
      at,
      log,
    });
    return { result, ok: result.violations === 0 };
  },
};

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

const trial = trials[positionals[0] ?? ''];
if (!trial) {
  log(usage);
  process.exit(2);
}
await sayingLacks(async () => {
  const { result, ok } = await trial();
  process.stdout.write(`${JSON.stringify(result, null, values.json ? undefined : 2)}\n`);
  process.exitCode = ok ? 0 : 1;
});
