import { statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { resolve } from 'node:path';
import { examineSignals, examineSink, examineSource, writableFrom } from '../../connectors/doctor.js';
import { weightRules } from '../../connectors/duckdb/options.js';
import { askCondition } from '../../connectors/registry.js';
import { examine, type Finding } from '../../src/contracts/finding.js';
import { StageError } from '../../src/errors.js';
import { assertWorkable, mebibytes, wholeMebibytes } from '../../src/fit/memory.js';
import { parseSize } from '../../src/size.js';
import type { Command } from '../command.js';
import { lacking } from '../lacking.js';
import { redacted } from '../secrets.js';

function writable(directory: string): string {
  const at = writableFrom(directory, 'state');
  const { bavail, bsize } = statfsSync(at);
  return `${directory}${at === directory ? '' : ', to be made'}, ${mebibytes(bavail * bsize)} free`;
}

function enough(memory: string): string {
  const bytes = parseSize(memory, 'memory');
  assertWorkable(bytes);
  if (bytes > totalmem())
    throw new StageError(
      'MEMORY_BUDGET',
      `memory: expected at most ${wholeMebibytes(totalmem())} of this machine, found ${mebibytes(bytes)}`,
    );
  return `${mebibytes(bytes)} of ${mebibytes(totalmem())}`;
}

/** What the configuration has no source or no sink for; without either there is nothing to do. */
const work = (found: string, ok: boolean): Finding => ({
  what: 'work',
  ok,
  found,
  ...(ok ? {} : { remedy: 'add `sources` and `sinks`; `sansa-stream init --source csv FILE` writes both' }),
});

const line = ({ what, ok, found, remedy }: Finding): string =>
  `${ok ? 'PASS' : 'FAIL'}  ${what}: ${found}${remedy ? `\n      → ${remedy}` : ''}`;

export const doctor: Command = {
  summary: 'check the configuration and everything it names, and say what to do',
  usage: '-c pipeline.yaml',
  async run({ config, values }) {
    const { config: settings, baseDirectory } = await config();
    const { sources, sinks, signals } = settings;
    const findings: Finding[] = [
      { what: 'config', ok: true, found: String(values.config) },
      await examine('state', () => writable(resolve(baseDirectory, settings.state))),
      await examine('memory', () => enough(settings.memory)),
    ];
    for (const options of sources)
      findings.push(...(await examineSource(options, baseDirectory, weightRules(settings.semantics))));
    for (const options of sinks) findings.push(...(await examineSink(options, baseDirectory)));
    if (signals) findings.push(...(await examineSignals(signals, baseDirectory)));
    const { query } = settings.schedule.refit.when ?? {};
    if (query)
      findings.push(
        await examine('when.query', async () => String(await askCondition(query, baseDirectory))),
      );
    const missing = lacking(settings);
    if (missing) findings.push(work(missing, sources.length + sinks.length > 0));
    const said = findings.map(f => ({ ...f, found: redacted(f.found) }));
    const failed = findings.filter(f => !f.ok).length;
    const verdict = failed === 0 ? 'all is well' : `${failed} of ${findings.length} need attention`;
    return {
      json: { ok: failed === 0, findings: said },
      text: [...said.map(line), verdict].join('\n'),
      exitCode: failed === 0 ? 0 : 1,
    };
  },
};
