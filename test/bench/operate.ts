import { setTimeout as sleep } from 'node:timers/promises';
import { commitsOf, type LoadedStage, loadedStage, quantile } from '../soak/stage.js';
import { type BenchOptions, median } from './environment.js';

/** Clients that poll, half of them the status by the control socket and half the metrics, each once a second. */
const clients = 20;
const pollEveryMs = 1000;
const phaseMs = 20_000;

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

/** The p99 of batch commits of a stage under load, with and without clients that poll, in turns. */
export async function benchOperate({ runs, sink, log }: BenchOptions): Promise<object> {
  const source = sink === 'warehouse' ? 'warehouse' : 'kafka';
  const schedule = { fold: { cron: '*/5 * * * * *' }, refit: { cron: '0 * * * * *' } };
  const stage = await loadedStage({ source, rate: 2000, schedule });
  try {
    await sleep(phaseMs);
    const rounds = [];
    for (let round = 0; round < runs; round++) {
      const alone = await phase(stage, 0);
      const polled = await phase(stage, clients);
      rounds.push({ alone: alone.p99CommitMs, ratio: polled.p99CommitMs / alone.p99CommitMs, ...polled });
      log(
        `commit p99 ${alone.p99CommitMs.toFixed(1)} ms alone, ${polled.p99CommitMs.toFixed(1)} ms polled; answers p99 ${polled.p99AnswerMs.toFixed(0)} ms`,
      );
    }
    return { source, clients, ratio: median(rounds.map(r => r.ratio)), rounds };
  } finally {
    await stage.close();
  }
}

async function phase(stage: LoadedStage, clients: number) {
  const from = stage.lineCount();
  const answers = Array.from({ length: clients }, (_, k) => poll(stage, k, AbortSignal.timeout(phaseMs)));
  await sleep(phaseMs);
  const took = (await Promise.all(answers)).flat();
  const commits = commitsOf(stage.log(from));
  return {
    commits: commits.length,
    p50CommitMs: quantile(commits, 0.5),
    p99CommitMs: quantile(commits, 0.99),
    answers: took.length,
    p99AnswerMs: quantile(took, 0.99),
  };
}
