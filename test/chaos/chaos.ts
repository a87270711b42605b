import { parseArgs } from 'node:util';
import { chaosPublish } from './publish.js';

/** What a trial is told on its command line. */
export interface ChaosOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly log: (line: string) => void;
}

const trials: Readonly<
  Record<string, (options: ChaosOptions) => Promise<{ readonly failures: readonly string[] }>>
> = {
  publish: chaosPublish,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, rounds: { type: 'string' }, seed: { type: 'string' } },
});
const trial = trials[positionals[0] ?? ''];
if (!trial) {
  const names = Object.keys(trials).join('|');
  process.stderr.write(`usage: npm run -s chaos -- ${names} [--rounds N] [--seed N] [--json]\n`);
  process.exit(2);
}
const result = await trial({
  rounds: Number(values.rounds ?? 50),
  seed: Number(values.seed ?? 1),
  log: line => process.stderr.write(`${line}\n`),
});
process.stdout.write(`${JSON.stringify(result, null, values.json ? undefined : 2)}\n`);
process.exitCode = result.failures.length > 0 ? 1 : 0;
