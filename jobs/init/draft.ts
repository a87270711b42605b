import type { Sample } from '../../src/contracts/index.js';
import type { Field, Roles } from './roles.js';

/** A name as an SQL identifier, in quotes where it needs them. */
const sqlName = (name: string): string =>
  /^[a-z_]\w*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`;

const count = (n: number): string => n.toLocaleString('en');

/** What the look at the data found, as comments. */
function found({ where, rows, columns }: Sample): string[] {
  const shown = columns.map(({ name, type, missing, example }) => {
    const gaps = missing > 0 ? `, ${(100 * missing).toFixed(missing < 0.01 ? 2 : 0)}% empty` : '';
    return `    #   ${name} ${type}${gaps}${example ? `, such as ${example.replace(/\s+/g, ' ').slice(0, 40)}` : ''}`;
  });
  return [`    # ${where} has ${count(rows)} rows${rows > 0 ? ', of' : ''}`, ...shown];
}

/** A source over the rows of a table or a file. */
export function querySource(
  sample: Sample,
  from: string,
  roles: Roles,
  database: string | undefined,
): string {
  const selected = Object.entries(roles).map(([field, { name }]) =>
    name === field ? name : `${sqlName(name)} AS ${field}`,
  );
  const gaps = [roles.user, roles.item].filter(c => c.missing > 0).map(c => `${sqlName(c.name)} IS NOT NULL`);
  // Rows come in the order of the cursor; files, and tables without one, are read on from the place that was reached.
  const cursor = database === undefined ? undefined : [roles.id, roles.ts].find(c => c?.missing === 0);
  return [
    '  - type: duckdb',
    '    name: events',
    ...(database === undefined ? [] : [`    database: ${JSON.stringify(database)}`]),
    ...found(sample),
    '    query: >-',
    `      SELECT ${selected.join(', ')}`,
    `      FROM ${from}${gaps.length > 0 ? ` WHERE ${gaps.join(' AND ')}` : ''}`,
    ...(cursor ? [`    cursor: ${cursor === roles.id ? 'id' : 'ts'} # grows from row to row`] : []),
  ].join('\n');
}

/** A source over a topic. */
export function topicSource(
  sample: Sample,
  brokers: string,
  topic: string,
  roles: Roles | undefined,
): string {
  const paths = Object.entries(roles ?? {})
    .filter(([field, { name }]) => name !== field)
    .map(([field, { name }]) => `${field}: ${JSON.stringify(name)}`);
  return [
    '  - type: kafka',
    '    name: events',
    `    brokers: "\${KAFKA_BROKERS:${brokers}}"`,
    `    topics: [${JSON.stringify(topic)}]`,
    ...found(sample),
    ...(paths.length > 0 ? [`    fields: { ${paths.join(', ')} }`] : []),
    `    # sasl: { mechanism: scram-sha-512, username: stage, password: "\${KAFKA_PASSWORD}" }`,
  ].join('\n');
}

/** Each kind of sink as `init` writes it. */
export const sinkDrafts: Readonly<Record<string, string>> = {
  files: '  - type: files\n    path: ./feeds',
  lmdb: '  - type: lmdb\n    path: ./feeds.lmdb',
  duckdb: '  - type: duckdb\n    database: ./feeds.duckdb',
  redis: `  - type: redis # needs maxmemory-policy noeviction\n    url: "\${REDIS_URL:redis://127.0.0.1:6379}"`,
  kafka: `  - type: kafka\n    brokers: "\${KAFKA_BROKERS:127.0.0.1:9092}"`,
};

/** The fields that a draft took from the data, for people. */
export const mapped = (roles: Roles): string =>
  (Object.entries(roles) as [Field, { name: string; type: string }][])
    .map(([field, { name, type }]) => `${field} from ${name} (${type})`)
    .join(', ');

/** A whole configuration; `schema` is the path of its JSON Schema. */
export const draftOf = (
  schema: string,
  source: string,
  sinks: readonly string[],
  weighted: boolean,
): string => `\
# yaml-language-server: $schema=${schema}
# A pipeline of sansa-stream. \`sansa-stream validate -c pipeline.yaml\` checks it,
# \`sansa-stream run -c pipeline.yaml\` keeps it going. \${VAR:default} reads the environment.
state: ./state

semantics:
  interactions: binary # present or not${weighted ? '; last and sum go by the weight' : ''}

sources:
${source}

sinks:
${sinks.join('\n')}

fit:
  solver: fsai # better and faster than icf; its other settings follow from the data

publish:
  k: 50 # length of the lists

schedule: # of \`run\`
  timezone: UTC
  fold: { cron: "* * * * *" }
  refit: { cron: "0 3 * * *" }

# A row inserted into this table starts a refit or a publication; the outcome appears in signal_results.
# signals:
#   type: duckdb
#   database: warehouse.duckdb
`;

/** The source of a configuration that looked at nothing. */
export const exampleSource = `\
  - type: duckdb
    # database: warehouse.duckdb # a DuckDB file; without it the query reads Parquet or CSV files
    query: SELECT user_id AS user, item_id AS item, occurred_at AS ts, event_id FROM 'events.parquet'
    cursor: event_id # a column that grows from row to row`;
