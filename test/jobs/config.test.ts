/** Each mistake in a configuration names the file, the path, what is accepted and what was found. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '#jobs/config.js';
import { createPipeline } from '#jobs/open.js';
import { temporaryDirectory } from '../support/directory.js';

function load(yaml: string, env: NodeJS.ProcessEnv = {}) {
  const file = join(temporaryDirectory(), 'pipeline.yaml');
  writeFileSync(file, yaml);
  return loadConfig(file, env).config;
}

/** The lines of the error, without the file's name. */
function mistakes(yaml: string, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    load(yaml, env);
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 2 });
    const lines = (error as Error).message.split('\n');
    for (const line of lines) expect(line).toMatch(/pipeline\.yaml: /);
    return lines.map(line => line.replace(/^.*?pipeline\.yaml: /, ''));
  }
  return [];
}

const source = 'type: duckdb, query: SELECT 1';

describe('mistakes', () => {
  it.each<[string, string, string | RegExp]>([
    ['unknown key', 'sates: x', /^\(top level\): expected only memory, .*state, .*log, found "sates"$/],
    ['unknown nested key', 'fit: { l3: 1 }', /^fit: expected only solver, l2, .*density, .*, found "l3"$/],
    [
      'unknown key behind a transform',
      'semantics: { scale: 1 }',
      'semantics: expected only interactions, weightScale, maxWeight, window, halfLife, found "scale"',
    ],
    [
      'unknown key of a source',
      `sources: [{ ${source}, curser: x }]`,
      /^sources\.0: expected only type, name, database, query, cursor, .*, found "curser"$/,
    ],
    [
      'unknown key of the second sink',
      'sinks: [{ type: files, path: x }, { type: lmdb, path: x, kep: 1 }]',
      /^sinks\.1: expected only type, .*, found "kep"$/,
    ],
    [
      'unknown key of a schedule',
      'schedule: { refit: { corn: x } }',
      'schedule.refit: expected only cron, events, when, publish, catchUp, jitterMs, timeoutMs, found "corn"',
    ],
    ...['host:notaport', 'host:70000', 'host:0', '', 'host:6379/x'].map((at): [string, string, RegExp] => [
      `a Redis at ${at}`,
      `sinks: [{ type: redis, url: "redis://${at}" }]`,
      /^sinks\.0\.url: expected .*redis:\/\/host:6379.*, found "redis:/,
    ]),
    ...['host', 'host:x', 'host:70000', 'a:9092,', 'SASL_SSL://a:9092'].map(
      (at): [string, string, RegExp] => [
        `a broker at ${at}`,
        `sinks: [{ type: kafka, brokers: "${at}" }]`,
        /^sinks\.0\.brokers: expected host:port, or a list of them, with ports from 1 to 65535, found "/,
      ],
    ),
    ...['localhost:8081', 'http://host:70000', 'ftp://host', 'http://'].map(
      (at): [string, string, RegExp] => [
        `a schema registry at ${at}`,
        `sources: [{ type: kafka, brokers: "a:1", topics: [t], format: avro, registry: { url: "${at}" } }]`,
        /^sources\.0\.registry\.url: expected a URL such as http:\/\/host:8081, its port from 1 to 65535, found "/,
      ],
    ),
    ...['host', '127.0.0.1:70000', '127.0.0.1:x'].map((at): [string, string, RegExp] => [
      `HTTP on ${at}`,
      `http: { listen: "${at}" }`,
      /^http\.listen: expected an? .*port.*, found "/,
    ]),
    ...['30 days', '1y', '-5d', ''].map((text): [string, string, RegExp] => [
      `an age of ${JSON.stringify(text)}`,
      `semantics: { window: "${text}" }`,
      /^semantics\.window: expected a duration such as 12h, 30d or 2w, found "/,
    ]),
    [
      'a word of a table',
      'sources: [{ type: kafka, brokers: "a:1", topics: [t], fields: { op: { from: type, map: { login: item } } } }]',
      /^sources\.0\.fields\.op\.map\.login: expected one of "add", .*, found "item"$/,
    ],
    [
      'wrong choice',
      'semantics: { interactions: some }',
      'semantics.interactions: expected one of "binary", "last", "sum", found "some"',
    ],
    [
      'wrong log level',
      'log: { level: trace }',
      'log.level: expected one of "debug", "info", "warn", "error", found "trace"',
    ],
    [
      'unknown source',
      'sources: [{ type: pulsar }]',
      'sources.0.type: expected one of "duckdb", "kafka", "ndjson", "push", "module", found "pulsar"',
    ],
    [
      'no source type',
      'sources: [{ query: x }]',
      'sources.0.type: expected one of "duckdb", "kafka", "ndjson", "push", "module", found nothing',
    ],
    [
      'unknown sink',
      'sinks: [{ type: memcached }]',
      'sinks.0.type: expected one of "kafka", "redis", "lmdb", "duckdb", "files", "module", found "memcached"',
    ],
    [
      'unknown signals',
      'signals: { type: topic }',
      'signals.type: expected one of "duckdb", "kafka", "module", found "topic"',
    ],
    ['no query', 'sources: [{ type: duckdb }]', 'sources.0.query: expected text, found nothing'],
    ['no path', 'sinks: [{ type: lmdb }]', 'sinks.0.path: expected text, found nothing'],
    ['text for a number', 'fit: { l2: many }', 'fit.l2: expected a number, found "many"'],
    ['a quoted number', 'fit: { l2: "5" }', 'fit.l2: expected a number, found "5"'],
    ['not a number', 'fit: { l2: .nan }', 'fit.l2: expected a number, found NaN'],
    ['infinity', 'fit: { l2: .inf }', 'fit.l2: expected a number, found Infinity'],
    ['a fraction for a count', 'publish: { k: 1.5 }', 'publish.k: expected a whole number, found 1.5'],
    ['text for a switch', 'fit: { scale: maybe }', 'fit.scale: expected true or false, found "maybe"'],
    ['no window', 'semantics: { window: 0d }', 'semantics.window: expected a duration above 0, found "0d"'],
    [
      'ages of counters',
      'semantics: { halfLife: 30d }\nsources: [{ type: duckdb, query: x, timeUnit: counter }]',
      'sources.0.timeUnit: expected times, by which events grow old (semantics.window, halfLife), found "counter"',
    ],
    [
      'a minimum of scores that decay',
      'semantics: { halfLife: 30d }\npublish: { rules: { minimumScore: 0.1 } }',
      'publish.rules.minimumScore: expected none with semantics.halfLife, under which scores change with the age of events, found 0.1',
    ],
    ['too small', 'publish: { k: 0 }', 'publish.k: expected number to be >=1, found 0'],
    ['too large', 'fit: { density: 2 }', 'fit.density: expected number to be <=1, found 2'],
    ['nothing for text', 'state: ~', 'state: expected text, found null'],
    ['nothing for settings', 'fit: ~', 'fit: expected settings (key: value), found null'],
    ['a list for settings', 'fit: []', 'fit: expected settings (key: value), found []'],
    ['settings for a list', 'sources: { a: 1 }', 'sources: expected a list, found {"a":1}'],
    ['a list for a file', '- a', '(top level): expected settings (key: value), found ["a"]'],
    ['text for a file', 'hello', '(top level): expected settings (key: value), found "hello"'],
    [
      'bad size',
      'database: { memoryLimit: much }',
      'database.memoryLimit: expected a size such as 512MB or 2GiB, found "much"',
    ],
    [
      'bad cron',
      'schedule: { fold: { cron: "* *" } }',
      'schedule.fold.cron: expected a cron expression such as "*/5 * * * *", found "* *"',
    ],
    [
      'cron out of range',
      'schedule: { refit: { cron: "61 * * * *" } }',
      /^schedule\.refit\.cron: expected a cron expression/,
    ],
    [
      'a day that never comes',
      'schedule: { publish: { cron: "0 0 31 2 *" } }',
      /^schedule\.publish\.cron: expected a cron expression/,
    ],
    [
      'bad time zone',
      'schedule: { timezone: Mars/Base }',
      'schedule.timezone: expected an IANA time zone such as Europe/London, found "Mars/Base"',
    ],
    [
      'two sinks in one directory',
      'sinks: [{ type: files, path: feeds }, { type: lmdb, path: feeds }, { type: files, path: ./feeds/ }]',
      'sinks.2: expected a place of its own, found that of sinks.0',
    ],
    [
      'two sinks in one table',
      'sinks: [{ type: duckdb, database: d, table: Lists }, { type: duckdb, database: d, table: a }, { type: duckdb, database: ./d }]',
      'sinks.2: expected a place of its own, found that of sinks.0',
    ],
    [
      'two sinks under one prefix',
      'sinks: [{ type: lmdb, path: d }, { type: lmdb, path: d, prefix: b }, { type: lmdb, path: ./d, prefix: b }]',
      'sinks.2: expected a place of its own, found that of sinks.1',
    ],
    [
      'the same source twice',
      `sources: [{ ${source} }, { ${source}, name: b }, { ${source} }]`,
      'sources.2.name: expected a name of its own, found "duckdb" as in sources.0',
    ],
    ['no YAML', 'a: [', /^expected YAML, found: .* at line 1, column \d+$/],
    ['a tab', 'fit:\n\tl2: 1', /^expected YAML, found: Tabs are not allowed as indentation at line 2/],
    ['a key twice', 'state: a\nstate: b', /^expected YAML, found: Map keys must be unique at line 2/],
    ['two documents', 'state: a\n---\nstate: b', /^expected YAML, found: .*multiple documents/],
    ['an unknown alias', 'state: *a', /^expected YAML, found: Unresolved alias.*: a$/],
    [
      'a very long value',
      `publish: { k: ${'9'.repeat(400)}x }`,
      /^publish\.k: expected a number, found "9+….?$/,
    ],
  ])('%s', (_, yaml, expected) => {
    const lines = mistakes(yaml);
    expect(lines).toHaveLength(1);
    if (typeof expected === 'string') expect(lines[0]).toBe(expected);
    else expect(lines[0]).toMatch(expected);
  });

  it('are all listed', () => {
    expect(
      mistakes('fit: { l2: 0, scans: x, foo: 1 }\npublish: { k: -1 }')
        .map(l => l.split(':')[0])
        .sort(),
    ).toEqual(['fit', 'fit.l2', 'fit.scans', 'publish.k']);
  });

  it('in a missing or unreadable file', () => {
    const directory = temporaryDirectory();
    const absent = join(directory, 'absent.yaml');
    expect(() => loadConfig(absent)).toThrow(`${absent}: expected a readable file (ENOENT)`);
    expect(() => loadConfig(directory)).toThrow(`${directory}: expected a readable file (EISDIR)`);
  });

  it('in the options of the library', async () => {
    const twice = { type: 'duckdb', query: 'SELECT 1' } as const;
    await expect(createPipeline({ sources: [twice, twice] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'options: sources.1.name: expected a name of its own, found "duckdb" as in sources.0',
    });
    await expect(createPipeline({ fit: { l2: -1 } })).rejects.toThrow(
      'options: fit.l2: expected number to be >0, found -1',
    );
  });
});

it('an alias of itself is a mistake of the file', () => {
  expect(mistakes('sources: &a [*a]')).toEqual([
    'expected YAML, found: an alias of a value that contains it',
  ]);
});

it('addresses that can be are taken', () => {
  const redis = ['redis://:p%40@h/2', 'rediss://[::1]:6379', 'redis://a:1,redis://b:65535'];
  const kafka = ['[::1]:9092', 'kafka-1.example:9092, kafka-2:9092'];
  const sinks = [
    ...redis.map((url, k) => ({ type: 'redis', url, prefix: `r${k}` })),
    ...kafka.map((brokers, k) => ({ type: 'kafka', brokers, prefix: `k${k}` })),
  ];
  expect(mistakes(JSON.stringify({ sinks }))).toEqual([]);
});

it('a tolerance is a share, a percentage or a count', () => {
  const tolerance = (text: string) => load(`deadLetters: { tolerance: ${text} }`).deadLetters.tolerance;
  expect(['0.5', '50%', '2.5%', '0', '1', '7'].map(tolerance)).toEqual([0.5, 0.5, 0.025, 0, 1, 7]);
  expect(tolerance('100%')).toBe(Number.MAX_SAFE_INTEGER);
  expect(mistakes('deadLetters: { tolerance: some }')).toHaveLength(1);
});

describe('secrets', () => {
  it('are named in no mistake', () => {
    const kafka = (rest: string) => `sources: [{ type: kafka, brokers: b:1, topics: [t], ${rest} }]`;
    const login = 'username: me, password: hunter2';
    const found = [
      ...mistakes(kafka(`sasl: { mechanism: plain, username: me, password: [hunter2] }`)),
      ...mistakes(kafka(`sasl: { mechanism: digest, ${login} }`)),
      ...mistakes(kafka(`sasl: [{ mechanism: plain, ${login} }]`)),
      ...mistakes(kafka(`ssl: { passphrase: { a: hunter2 } }`)),
      ...mistakes(kafka(`registry: { url: "http://r", ${login}, extra: 1 }`)),
      ...mistakes(kafka(`registry: [{ url: "http://r", ${login} }]`)),
    ];
    expect(found.length).toBeGreaterThanOrEqual(6);
    expect(found.join('\n')).not.toContain('hunter2');
    expect(found.join('\n')).toContain('(secret)');
  });
});

describe('variables', () => {
  it('are replaced anywhere in text, with defaults', () => {
    const yaml = `state: "\${BASE:./x}/\${NAME}"\nsources: [{ ${source}, cursor: "\${C:a:b}" }]`;
    const config = load(yaml, { NAME: 'state' });
    expect(config.state).toBe('./x/state');
    expect(config.sources[0]).toMatchObject({ cursor: 'a:b' });
    expect(load(yaml, { NAME: 'n', BASE: '/b' }).state).toBe('/b/n');
  });

  it('become numbers and switches where those are expected, and only there', () => {
    const yaml = `state: "\${S}"\nfit: { l2: "\${L2:20}", scale: "\${SCALE:true}" }\npublish: { k: "\${K}\${K}" }`;
    const config = load(yaml, { S: '2024', L2: '1e-1', SCALE: 'false', K: '1' });
    expect(config).toMatchObject({ state: '2024', fit: { l2: 0.1, scale: false }, publish: { k: 11 } });
    expect(load(yaml, { S: 'true', K: '07' }).state).toBe('true');
  });

  it.each([
    ['unset', `fit: { l2: "\${L2}" }`, {}, `fit.l2: variable L2 is not set; set it or write \${L2:default}`],
    [
      'unset in a list',
      `sources: [{ ${source}, name: "\${N}" }]`,
      {},
      /^sources\.0\.name: variable N is not set/,
    ],
    ['no number', `fit: { l2: "\${L2}" }`, { L2: 'x' }, 'fit.l2: expected a number, found "x"'],
    ['empty', `fit: { l2: "\${L2:1}" }`, { L2: '' }, 'fit.l2: expected a number, found ""'],
    ['out of range', `fit: { l2: "\${L2}" }`, { L2: '-3' }, 'fit.l2: expected number to be >0, found -3'],
    ['a fraction', `publish: { k: "\${K}" }`, { K: '2.5' }, 'publish.k: expected a whole number, found 2.5'],
  ])('%s', (_, yaml, env, expected) => {
    const [line, ...more] = mistakes(yaml, env);
    expect(more).toEqual([]);
    if (typeof expected === 'string') expect(line).toBe(expected);
    else expect(line).toMatch(expected);
  });
});

it('an empty file has every default', () => {
  expect(load('')).toMatchObject({
    state: './state',
    fit: { solver: 'icf' },
    sources: [],
    semantics: { weightScale: 1 },
  });
  expect(load('semantics: { interactions: sum }').semantics.weightScale).toBe(100);
});
