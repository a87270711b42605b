import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchOptions, dataSet, median, runCli } from './environment.js';

const mebibyte = 2 ** 20;

/**
 * The fixed base of the runtime, which is the peak memory of a fit with nothing in it, and how much more a real
 * fit takes under several budgets.
 */
export async function benchMemory({ data, runs, log }: BenchOptions): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-memory-'));
  const tiny = join(directory, 'tiny.csv');
  writeFileSync(tiny, 'user,item\n1,1\n1,2\n2,1\n2,3\n');
  const peak = (args: readonly string[]): number =>
    median(
      Array.from({ length: runs }, () =>
        Number(runCli(['evaluate', ...args, '--threads', '2']).peakRssBytes),
      ),
    );
  const baseRssBytes = peak(['--train', tiny, '--test', tiny]);
  rmSync(directory, { recursive: true });
  log(`base ${Math.round(baseRssBytes / mebibyte)} MiB`);
  const name = 'amazon-books-scale';
  const { train, test } = dataSet(data, name);
  const budgets = [128, 256, 1024].map(mib => {
    const peakRssBytes = peak([
      '--train',
      train,
      '--test',
      test,
      '--density',
      '5e-5',
      '--memory',
      `${mib}MiB`,
    ]);
    log(
      `${mib} MiB: ${Math.round(peakRssBytes / mebibyte)} MiB, ${Math.round((peakRssBytes - baseRssBytes) / mebibyte)} above the base`,
    );
    return { budgetBytes: mib * mebibyte, peakRssBytes, aboveBaseBytes: peakRssBytes - baseRssBytes };
  });
  return { set: name, runs, baseRssBytes, budgets };
}
