/**
 * `memory-step.js open|ingest|fold|fit|publish|run CONFIG`: opens the pipeline and does nothing, or is the command of that
 * name; prints the most memory that the process had, in bytes. What a process once took is counted until its end, so
 * each figure has a process of its own.
 */
import { readFileSync, writeSync } from 'node:fs';

const [step = '', config = ''] = process.argv.splice(2);
process.on('exit', () => {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))!;
  writeSync(1, `\n${Number(kilobytes) * 1024}\n`);
});
if (step === 'open') {
  const { openPipeline } = await import('../../jobs/open.js');
  const { loadConfig } = await import('../../jobs/config.js');
  await (await openPipeline(loadConfig(config))).close();
} else {
  process.argv.push(step, '-c', config, '--json');
  await import('../../jobs/cli.js');
}
