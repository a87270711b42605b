import { sample } from '../../connectors/doctor.js';
import { weightRules } from '../../connectors/duckdb/options.js';
import { createSource } from '../../connectors/registry.js';
import type { Command, Values } from '../command.js';
import { lacking } from '../lacking.js';
import { withoutSecrets } from '../secrets.js';

/** The commands behind a configuration that is valid. */
function next({ config, sources }: Values): string {
  const on = (command: string): string => `sansa-stream ${command} -c ${config}`;
  const look = sources ? [] : [`${on('validate --sources')} reads the first records`];
  return `next: ${[...look, `${on('doctor')} looks whether all answer`, `${on('run')} keeps it going`].join('; ')}`;
}

export const validate: Command = {
  summary: 'check a configuration and, with --sources, read the first records of each source',
  usage: '-c pipeline.yaml [--sources]',
  options: { sources: { type: 'boolean' } },
  help: {
    sources: 'open every source and decode its first batch, without taking it in; shows three events of each',
  },
  async run({ config, values }) {
    const { config: settings, baseDirectory } = await config();
    const samples: Record<string, Awaited<ReturnType<typeof sample>>> = {};
    if (values.sources) {
      for (const options of settings.sources) {
        const source = await createSource(options, baseDirectory);
        samples[source.name] = await sample(source, weightRules(settings.semantics));
      }
    }
    const lines = Object.entries(samples).flatMap(([name, s]) => [
      `source ${name}: ${s.records} records read, ${s.skipped > 0 ? `${s.skipped} skipped, ` : ''}${s.deadLetters} would be dead letters${s.reason ? ` (${s.reason})` : ''}`,
      ...s.events.map(event => `  ${JSON.stringify(event)}`),
    ]);
    const missing = lacking(settings);
    return {
      json: {
        valid: true,
        config: withoutSecrets(settings),
        samples,
        ...(missing ? { lacking: missing } : {}),
      },
      text: ['configuration is valid', ...lines, missing ?? next(values)].join('\n'),
    };
  },
};
