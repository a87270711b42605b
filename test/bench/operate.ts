import { setTimeout as sleep } from 'node:timers/promises';
import { commitsOf, type LoadedStage, loadedStage, quantile } from '../soak/stage.js';
import { type BenchOptions, median } from './environment.js';

/** Clients that poll, half of them the status by the control socket and half the metrics, each once a second. */
const clients = 20;
const pollEveryMs = 1000;
/** Both situations come in turns as long as the pause of folds, so that there is one in each. */
const turnMs = 5000;
const turns = 24;
/** Of the load and of a fit on a fresh state, before anything is measured. */
const warmUpMs = 20_000;

/** Polls until `stop`; returns the milliseconds of each answer. */
async function poll(stage: LoadedStage, client: number, stop: AbortSignal): Promise<number[]> {
  const took: number[] = [];
  await sleep((client * pollEveryMs) / clients);
  while (!stop.aborted) {
    const started = performance.now();
    await (client % 2 === 0 ? stage.ask('status') : stage.metricsText());
    took.push(performance.now() - started);
    await sleep(pollEveryMs);
  }
  return took;
}

/** A turn with so many clients: milliseconds of commits and of answers. */
async function turn(stage: LoadedStage, clients: number) {
  const from = stage.lineCount();
  const stop = AbortSignal.timeout(turnMs);
  const committed = sleep(turnMs).then(() => commitsOf(stage.log(from)));
  const polls = Array.from({ length: clients }, (_, k) => poll(stage, k, stop));
  const [commits, ...answers] = await Promise.all([committed, ...polls]);
  return { commits, answers: answers.flat() };
}

const figures = (ms: readonly number[]) => ({
  count: ms.length,
  p50Ms: quantile(ms, 0.5),
  p99Ms: quantile(ms, 0.99),
});

/** Turns alone and polled; their order changes each minute, because a refit comes at the same second of each. */
async function measure(stage: LoadedStage) {
  const [alone, polled, answers]: number[][] = [[], [], []];
  for (let k = 0; k < turns; k++) {
    const isPolled = (k + Math.floor((k * turnMs) / 60_000)) % 2 === 1;
    const found = await turn(stage, isPolled ? clients : 0);
    (isPolled ? polled : alone)!.push(...found.commits);
    answers!.push(...found.answers);
  }
  const ratio = quantile(polled!, 0.99) / quantile(alone!, 0.99);
  return { ratio, alone: figures(alone!), polled: figures(polled!), answers: figures(answers!) };
}

/** The p99 of batch commits of a stage under load, with and without clients that poll, in turns. */
export async function benchOperate({ runs, sink, log }: BenchOptions): Promise<object> {
  const source = sink === 'warehouse' ? 'warehouse' : 'kafka';
  const schedule = { fold: { cron: '*/5 * * * * *' }, refit: { cron: '0 * * * * *' } };
  const stage = await loadedStage({ source, rate: 2000, beatMs: source === 'kafka' ? 50 : 250, schedule });
  try {
    await sleep(warmUpMs);
    const rounds: Awaited<ReturnType<typeof measure>>[] = [];
    for (let round = 0; round < runs; round++) {
      const found = await measure(stage);
      rounds.push(found);
      const { ratio, alone, polled, answers } = found;
      log(
        `commit p99 ${alone.p99Ms.toFixed(1)} ms alone (${alone.count}), ${polled.p99Ms.toFixed(1)} ms polled (${polled.count}): ${ratio.toFixed(2)}; answers p99 ${answers.p99Ms.toFixed(0)} ms`,
      );
    }
    return { source, clients, ratio: median(rounds.map(r => r.ratio)), rounds };
  } finally {
    await stage.close();
  }
}
