/**
 * `catalogue-fit.js SEGMENT ITEMS SCALE MEMORY OUT`: plans a fit with default options from a pruned segment, does it as a
 * pipeline would, and prints what it took. What a process once took is counted until its end, so each fit has one of its own.
 */
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { planWrittenFit } from '../../src/fit/ranges.js';
import { parseSize } from '../../src/size.js';
import { fsaiOptions } from '../../src/solvers/fsai/options.js';
import { fitToFile } from '../../src/stages/fit-task.js';

const [segment = '', items = '', scale = '', memory = '', out = ''] = process.argv.slice(2);

/** A number in a file of the kernel about this process. */
const figure = (file: string, name: string): number =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/self/${file}`, 'utf8'))![1]);
const peakRssBytes = () => 1024 * figure('status', 'VmHWM');

const n = Number(items);
const options = fsaiOptions.parse({});
const memoryBytes = parseSize(memory, 'memory');
const files = [statSync(segment).size];
const size = { users: 0, items: n, interactions: 0, valued: true, mode: 'stored', files, options } as const;
const { threads, ranges } = planWrittenFit(size, memoryBytes, availableParallelism());
const input = { mode: 'stored', paths: [segment], n, scale: Number(scale) } as const;

const base = { rss: peakRssBytes(), read: figure('io', 'rchar'), written: figure('io', 'wchar') };
const begin = performance.now();
const { report } = await fitToFile(out, input, options, { threads, memoryBytes, ranges }, () => {});
const { user, system } = process.cpuUsage();
const measured = {
  seconds: (performance.now() - begin) / 1e3,
  processorSeconds: (user + system) / 1e6,
  bytesRead: figure('io', 'rchar') - base.read,
  bytesWritten: figure('io', 'wchar') - base.written,
  baseRssBytes: base.rss,
  peakRssBytes: peakRssBytes(),
  budgetBytes: memoryBytes,
  withinBudget: peakRssBytes() - base.rss <= memoryBytes,
  report,
};
process.stdout.write(JSON.stringify(measured));
