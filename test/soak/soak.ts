/** `npm run -s soak -- --minutes N --json`: a stage under constant load with a refit a minute. Exits 1 if anything is lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../support/arguments.js';
import { sayingLacks } from '../support/lacks.js';
import { commitsOf, loadedStage, quantile, type Sample } from './stage.js';

const everyMs = 5000;
/** Share of the time after which the memory is taken to have settled. */
const warmUp = 1 / 3;

/** Slope of the line of least squares through the samples, in MiB a minute. */
function slope(samples: readonly Sample[]): number {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const minutes = samples.map(s => s.at / 60);
  const [x, y] = [mean(minutes), mean(samples.map(s => s.rssBytes))];
  let [above, below] = [0, 0];
  samples.forEach((s, k) => {
    above += (minutes[k]! - x) * (s.rssBytes - y);
    below += (minutes[k]! - x) ** 2;
  });
  return above / below / 2 ** 20;
}

const usage =
  'usage: npm run -s soak -- [--minutes N] [--rate EVENTS-A-SECOND] [--source kafka|warehouse] [--json]';
const { values } = readArguments(usage, {
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '500' },
    source: { type: 'string', default: 'kafka' },
    json: { type: 'boolean' },
  },
});
const minutes = Number(values.minutes);
const source = values.source === 'warehouse' ? 'warehouse' : 'kafka';

await sayingLacks(async () => {
  const schedule = { fold: { cron: '*/10 * * * * *' }, refit: { cron: '0 * * * * *' } };
  const stage = await loadedStage({ source, rate: Number(values.rate), schedule });
  try {
    const samples: Sample[] = [];
    for (const until = Date.now() + 60_000 * minutes; Date.now() < until; await sleep(everyMs)) {
      samples.push(await stage.sample());
      const { at, rssBytes, lagSeconds } = samples.at(-1)!;
      if (!values.json)
        process.stderr.write(
          `${at.toFixed(0)} s: ${(rssBytes / 2 ** 20).toFixed(0)} MiB, lag ${lagSeconds.toFixed(1)} s\n`,
        );
    }
    const settled = await stage.settle();
    const log = stage.log();
    const result = {
      minutes,
      source,
      ...settled,
      refits: log.filter(l => l.msg === 'model fitted').length,
      rssSlopeMbPerMinute: slope(samples.filter(s => s.at >= 60 * minutes * warmUp)),
      p99CommitMs: quantile(commitsOf(log), 0.99),
      maxLagSeconds: Math.max(...samples.map(s => s.lagSeconds)),
      logLines: log.length,
    };
    process.stdout.write(`${JSON.stringify(result, null, values.json ? 0 : 2)}\n`);
    if (settled.lost + settled.duplicated > 0) process.exitCode = 1;
  } finally {
    await stage.close();
  }
});
