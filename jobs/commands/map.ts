import { createInterface } from 'node:readline';
import { weightRules } from '../../connectors/duckdb/options.js';
import { createSource } from '../../connectors/registry.js';
import { type Tried, tryLine } from '../../connectors/tried.js';
import { StageError } from '../../src/errors.js';
import { totalOf } from '../../src/stages/events.js';
import type { Command } from '../command.js';

/** What a record became, a line each. */
function linesOf(record: number, { events, dead, skipped }: Tried): object[] {
  return [
    ...events.map(event => ({ record, ...event })),
    ...Object.entries(skipped).map(([by, count]) => ({
      record,
      skipped: by,
      ...(count > 1 ? { count } : {}),
    })),
    ...dead.map(({ code, reason }) => ({ record, code, reason })),
  ];
}

export const map: Command = {
  summary: 'read records from standard input, a line each, and print the events that a source makes of them',
  usage: '-c pipeline.yaml [--source NAME] < records.ndjson',
  options: { source: { type: 'string' } },
  help: { source: 'the source whose mapping is tried; not needed if there is only one' },
  async run({ config, values, signal }) {
    const { config: settings, baseDirectory } = await config();
    const names = settings.sources.map(s => s.name);
    const name = values.source ?? (names.length === 1 ? names[0] : undefined);
    const options = settings.sources.find(s => s.name === name);
    if (!options)
      throw new StageError(
        'USAGE',
        `map: expected --source with one of ${names.join(', ')}, found ${String(name ?? 'none')}`,
      );
    const source = await createSource(options, baseDirectory);
    const weights = weightRules(settings.semantics);
    const total = { records: 0, events: 0, skipped: 0, deadLetters: 0 };
    for await (const line of createInterface({ input: process.stdin, signal })) {
      if (line.trim() === '') continue;
      const tried = await tryLine(source, line, total.records, weights);
      for (const said of linesOf(++total.records, tried)) process.stdout.write(`${JSON.stringify(said)}\n`);
      total.events += tried.events.length;
      total.skipped += totalOf(tried.skipped);
      total.deadLetters += tried.dead.length;
    }
    return { json: total, text: '', exitCode: total.deadLetters > 0 ? 1 : 0 };
  },
};
