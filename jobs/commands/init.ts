import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { Sample } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import type { Command, CommandContext, CommandResult } from '../command.js';
import { draftOf, exampleSource, mapped, querySource, sinkDrafts, topicSource } from '../init/draft.js';
import { type Field, type Roles, rolesOf, typesOf, unfit } from '../init/roles.js';
import { configSchemaFile } from '../schema.js';

const sources = ['csv', 'parquet', 'duckdb', 'kafka'];

/** A source block, and what it was made of. */
interface Found {
  readonly source: string;
  readonly sample: Sample;
  readonly roles: Roles | undefined;
}

type Given = Readonly<Partial<Record<Field, string>>>;

async function lookAtKafka(where: string, given: Given): Promise<Found> {
  const [, brokers = '', topic = ''] = /^(.+)\/([^/]+)$/.exec(where) ?? [];
  if (!topic)
    throw new StageError('USAGE', `init: expected BROKER:PORT/TOPIC, found ${JSON.stringify(where)}`);
  const { lookAtTopic } = await import('../../connectors/kafka/look.js');
  const sample = await lookAtTopic(brokers, topic);
  const roles = sample.rows > 0 ? rolesOf(sample, given) : undefined;
  return { source: topicSource(sample, brokers, topic, roles), sample, roles };
}

async function lookAtTables(
  kind: string,
  file: string,
  table: string | undefined,
  given: Given,
): Promise<Found> {
  const { lookAtFile } = await import('../../connectors/duckdb/look.js');
  const isDatabase = kind === 'duckdb';
  const all = await lookAtFile(file, { isDatabase, baseDirectory: process.cwd() });
  const tables = table === undefined ? all : all.filter(({ sample }) => sample.where === table);
  let failure: unknown;
  for (const { from, sample } of tables) {
    try {
      const roles = rolesOf(sample, given);
      const source = querySource(sample, from(typesOf(roles)), roles, isDatabase ? file : undefined);
      return { source, sample, roles };
    } catch (error) {
      failure ??= error; // another table may have the columns
    }
  }
  const names = all.map(({ sample }) => sample.where).join(', ') || 'none';
  throw (
    failure ?? new StageError('USAGE', `${file}: expected a table${table ? ` ${table}` : ''}, found ${names}`)
  );
}

/** The blocks of the sinks that were asked for. */
function sinksOf(wanted: readonly string[]): string[] {
  return wanted.map(kind => {
    if (Object.hasOwn(sinkDrafts, kind)) return sinkDrafts[kind]!;
    const kinds = Object.keys(sinkDrafts).join(', ');
    throw new StageError('USAGE', `--sink: expected one of ${kinds}, found ${JSON.stringify(kind)}`);
  });
}

/** The path by which an editor finds the schema of a configuration in `directory`. */
function schemaPath(directory: string): string {
  const path = relative(resolve(directory), configSchemaFile);
  return path.startsWith('..') ? configSchemaFile : `./${path.replaceAll('\\', '/')}`;
}

function write(file: string, text: string): void {
  if (existsSync(file))
    throw new StageError('USAGE', `${file}: expected no file of that name, found one; it was not touched`);
  try {
    writeFileSync(file, text);
  } catch (cause) {
    throw new StageError('USAGE', `${file}: cannot be written (${(cause as NodeJS.ErrnoException).code})`);
  }
}

/** Looks at the data that the command line names. */
async function find(kind: string, { positionals: [where], values }: CommandContext): Promise<Found> {
  if (!sources.includes(kind))
    throw new StageError(
      'USAGE',
      `--source: expected one of ${sources.join(', ')}, found ${JSON.stringify(kind)}`,
    );
  if (where === undefined)
    throw new StageError(
      'USAGE',
      `init --source ${kind}: expected ${kind === 'kafka' ? 'BROKER:PORT/TOPIC' : 'FILE'}, found nothing`,
    );
  const fields = ['user', 'item'] as const;
  const given = Object.fromEntries(
    fields.flatMap(f => (values[f] === undefined ? [] : [[f, String(values[f])]])),
  );
  return kind === 'kafka'
    ? lookAtKafka(where, given)
    : lookAtTables(kind, where, values.table as string | undefined, given);
}

function answer(file: string, { sample, roles }: Found): CommandResult {
  const { where, rows } = sample;
  const user = roles?.user.example;
  const next = [
    'ingest',
    'fit',
    ...(user ? [`recommend ${/^[\w.-]+$/.test(user) ? user : JSON.stringify(user)}`] : []),
  ].map(command => `sansa-stream ${command} -c ${file}`);
  const notes = roles ? unfit(sample, roles) : [];
  const text = [
    `${where}: ${rows} rows${roles ? `; ${mapped(roles)}` : '; the fields of its records are not known yet'}`,
    ...notes,
    `${file} written; next: ${next[0]}`,
    ...next.slice(1).map(line => `${' '.repeat(file.length + 10)}then: ${line}`),
    `sansa-stream refit -c ${file} makes and publishes a model now; sansa-stream run -c ${file} keeps it going`,
  ];
  const columns = Object.fromEntries(Object.entries(roles ?? {}).map(([field, { name }]) => [field, name]));
  return { json: { file, rows, columns, next, notes }, text: text.join('\n') };
}

export const init: Command = {
  summary: 'write a pipeline.yaml to start from; with --source, one that reads your data',
  arguments: ['[DIRECTORY]'],
  usage:
    '[DIRECTORY] | --source csv|parquet|duckdb FILE | --source kafka BROKER:PORT/TOPIC [--sink files|lmdb|redis|duckdb|kafka]',
  options: {
    source: { type: 'string' },
    sink: { type: 'string', multiple: true },
    table: { type: 'string' },
    user: { type: 'string' },
    item: { type: 'string' },
  },
  help: {
    source: `look at this data: ${sources.join(', ')}`,
    sink: `where lists go: ${Object.keys(sinkDrafts).join(', ')}; once for each; default files`,
    table: 'table of a DuckDB file; default the first that has users and items',
    user: 'column of the users; found by its name unless given',
    item: 'column of the items; found by its name unless given',
  },
  async run(context) {
    const { positionals, values } = context;
    const sinks = sinksOf((values.sink as string[] | undefined) ?? ['files']);
    if (values.source === undefined) {
      const file = join(positionals[0] ?? '.', 'pipeline.yaml');
      write(file, draftOf(schemaPath(dirname(file)), exampleSource, sinks, false));
      return {
        json: { file },
        text: `${file} written; next: edit it, then sansa-stream validate -c ${file}`,
      };
    }
    const file = 'pipeline.yaml';
    const found = await find(String(values.source), context);
    const weighted = found.roles?.weight !== undefined;
    write(file, draftOf(schemaPath('.'), found.source, sinks, weighted));
    return answer(file, found);
  },
};
