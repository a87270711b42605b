import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sample } from '../../connectors/doctor.js';
import { weightRules } from '../../connectors/duckdb/schema.js';
import { createSource } from '../../connectors/registry.js';
import { StageError } from '../../src/errors.js';
import type { Command } from '../command.js';
import { withoutSecrets } from '../secrets.js';

const template = `# A pipeline of sansa-stream. \`sansa-stream validate -c pipeline.yaml\` checks it,
# \`sansa-stream run -c pipeline.yaml\` keeps it going. \${VAR:default} reads the environment.
state: ./state

semantics:
  interactions: binary      # binary | last | sum

sources:
  - type: duckdb
    # database: warehouse.duckdb   # a DuckDB file; without it the query reads Parquet or CSV files
    query: SELECT user_id AS user, item_id AS item, occurred_at AS ts, event_id FROM 'events.parquet'
    cursor: event_id               # a column that grows from row to row

sinks:
  - type: lmdb
    path: ./feeds.lmdb
  - type: files
    path: ./feeds

fit:
  solver: fsai              # better and faster than icf; its other settings follow from the data

publish:
  k: 50

schedule:
  timezone: UTC
  fold: { cron: "* * * * *" }
  refit: { cron: "0 3 * * *" }

# A row inserted into this table starts a refit or a publish; the outcome appears in signal_results.
# signals:
#   type: duckdb
#   database: warehouse.duckdb
`;

export const init: Command = {
  summary: 'write a commented pipeline.yaml to start from',
  arguments: ['[DIRECTORY]'],
  usage: '[DIRECTORY]',
  async run({ positionals }) {
    const file = join(positionals[0] ?? '.', 'pipeline.yaml');
    if (existsSync(file))
      throw new StageError('USAGE', `${file}: expected no file of that name, found one; it was not touched`);
    try {
      writeFileSync(file, template);
    } catch (cause) {
      throw new StageError('USAGE', `${file}: cannot be written (${(cause as NodeJS.ErrnoException).code})`);
    }
    return { json: { file }, text: `${file} written; next: edit it, then sansa-stream validate -c ${file}` };
  },
};

export const validate: Command = {
  summary: 'check a configuration and, with --sources, read the first records of each source',
  usage: '-c pipeline.yaml [--sources]',
  options: { sources: { type: 'boolean' } },
  help: { sources: 'open every source and decode its first batch, without taking it in' },
  async run({ config, values }) {
    const { config: settings, baseDirectory } = await config();
    const samples: Record<string, { records: number; deadLetters: number; reason: string | undefined }> = {};
    if (values.sources) {
      for (const options of settings.sources) {
        const source = await createSource(options, baseDirectory);
        samples[source.name] = await sample(source, weightRules(settings.semantics));
      }
    }
    const lines = Object.entries(samples).map(
      ([name, s]) =>
        `source ${name}: ${s.records} records read, ${s.deadLetters} would be dead letters${s.reason ? ` (${s.reason})` : ''}`,
    );
    return {
      json: { valid: true, config: withoutSecrets(settings), samples },
      text: ['configuration is valid', ...lines].join('\n'),
    };
  },
};
