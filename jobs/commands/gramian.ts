import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { StageError } from '../../src/errors.js';
import { isRunning } from '../../src/runtime/running.js';
import { type Command, count } from '../command.js';

const formats = ['npz', 'parquet'] as const;

/** A directory of this process in `directory`, for files that are not whole; those of processes that died go. */
function scratchIn(directory: string): string {
  for (const name of readdirSync(directory)) {
    const pid = /^\.gramian-(\d+)-/.exec(name)?.[1];
    if (pid && !isRunning(Number(pid))) rmSync(join(directory, name), { recursive: true });
  }
  return mkdtempSync(join(directory, `.gramian-${process.pid}-`));
}

export const gramian: Command = {
  summary: 'write the item–item Gramian for other programs',
  arguments: ['ACTION'],
  usage: 'export --out DIR -c pipeline.yaml [--format npz|parquet]',
  options: { out: { type: 'string' }, format: { type: 'string' } },
  help: {
    out: 'directory for the files; it is made where there is none',
    format: '`npz` for SciPy, or `parquet` with a row per entry; default npz',
  },
  async run({ reader, positionals, values }) {
    const [action] = positionals;
    if (action !== 'export')
      throw new StageError('USAGE', `gramian: expected export, found ${JSON.stringify(action)}`);
    const format = formats.find(f => f === (values.format ?? 'npz'));
    if (!format)
      throw new StageError(
        'USAGE',
        `--format: expected ${formats.join(' or ')}, found ${JSON.stringify(values.format)}`,
      );
    if (typeof values.out !== 'string')
      throw new StageError('USAGE', 'gramian export: expected --out DIR, found none');
    const directory = resolve(values.out);
    const pipeline = await reader();
    const { writeGramianNpz, writeGramianParquet, writeItems } = await import(
      '../../connectors/files/gramian.js'
    );
    mkdirSync(directory, { recursive: true });
    const scratch = scratchIn(directory);
    try {
      const limits = { scratch, memoryBytes: pipeline.stepBytes };
      const G = await pipeline.gramianEntries(scratch);
      try {
        const files = [
          ...(format === 'npz'
            ? await writeGramianNpz(directory, G, scratch)
            : await writeGramianParquet(directory, G, limits)),
          ...(await writeItems(directory, await pipeline.parts.store.itemKeys(G.n), limits)),
        ];
        const json = { directory, files, items: G.n, entries: G.entries };
        return {
          json,
          text: `${count(G.entries)} entries of ${count(G.n)} items in ${directory}: ${files.join(', ')}`,
        };
      } finally {
        G.close();
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
};
