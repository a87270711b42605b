/**
 * `doctor` over a real broker: a line for each thing a pipeline needs, and the remedy for each that is wrong. `init` looks
 * at a topic.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freePorts } from '../../support/broker.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { json, makeTopic, produce } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

interface Report {
  readonly ok: boolean;
  readonly findings: readonly { what: string; ok: boolean; found: string; remedy?: string }[];
}

await withBroker('doctor', {}, broker => {
  function home(config: object): string {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'pipeline.yaml'), stringify(config));
    return directory;
  }
  const doctor = (cwd: string, ...more: readonly string[]) =>
    runCli(['doctor', '-c', 'pipeline.yaml', ...more], { cwd });

  it('passes a pipeline that has everything, and makes nothing', async () => {
    const topic = await makeTopic(broker(), 3);
    await produce(broker(), topic, [json({ user: 'u', item: 'i' })]);
    const access = { type: 'kafka', brokers: [...broker().brokers] };
    const cwd = home({
      sources: [{ ...access, topics: [topic] }],
      sinks: [
        { ...access, prefix: `d-${randomUUID()}` },
        { type: 'files', path: './feeds' },
      ],
      signals: { ...access, prefix: `d-${randomUUID()}` },
    });
    for (const round of [1, 2]) {
      const { code, stdout, stderr } = await doctor(cwd);
      expect(code, stdout + stderr).toBe(0);
      expect(stdout).toMatch(/^PASS {2}config: pipeline.yaml$/m);
      expect(stdout).toMatch(/^PASS {2}source kafka: brokers: 1 of cluster /m);
      expect(stdout).toContain(`PASS  source kafka: topic ${topic}: 3 partitions, about 1 records`);
      expect(stdout).toContain('PASS  source kafka: codecs: gzip, snappy, lz4, zstd');
      expect(stdout.match(/none; it will be made/g), `round ${round}`).toHaveLength(6);
      expect(stdout).toContain('PASS  sink files: 0 versions, current none');
      expect(stdout.trim().endsWith('all is well')).toBe(true);
    }
  });

  it('says what is wrong, and what to do', async () => {
    const prefix = `d-${randomUUID()}`;
    const users = await makeTopic(broker());
    const access = { type: 'kafka', brokers: [...broker().brokers] };
    const [port] = await freePorts(1);
    const cwd = home({
      sources: [
        { ...access, topics: ['nowhere'] },
        { type: 'kafka', name: 'gone', brokers: [`127.0.0.1:${port}`], topics: ['x'] },
        { type: 'duckdb', query: "SELECT * FROM 'missing.parquet'", cursor: 'ts' },
      ],
      sinks: [{ ...access, prefix, topics: { users } }],
    });
    const result = await doctor(cwd, '--json');
    expect(result.code).toBe(1);
    const { ok, findings } = result.json<unknown>() as Report;
    expect(ok).toBe(false);
    const failed = new Map(findings.filter(f => !f.ok).map(f => [f.what, f]));
    expect([...failed.keys()]).toEqual([
      'source kafka: topic nowhere',
      'source gone: brokers',
      'source duckdb',
      `sink kafka: topic ${users}`,
    ]);
    expect(failed.get(`sink kafka: topic ${users}`)!.found).toContain(
      'expected cleanup.policy=compact, found delete',
    );
    expect(failed.get('source gone: brokers')!.found).toContain('ECONNREFUSED');
    for (const { remedy } of failed.values()) expect(remedy).toBeTruthy();
  });

  it('init finds the fields of a topic and writes a pipeline that takes its records in', async () => {
    const topic = await makeTopic(broker(), 2);
    const records = Array.from({ length: 300 }, (_, k) => ({
      shop: { customer: `u${k % 20}`, sku: ((k % 20) % 7) + (Math.floor(k / 20) % 4) },
      rating: k % 5,
      order: k >> 1,
      ts: Date.UTC(2026, 0, 1) + k,
    }));
    await produce(
      broker(),
      topic,
      records.map(record => json(record)),
    );
    const cwd = temporaryDirectory();
    const address = `${broker().brokers[0]}/${topic}`;
    const said = await runCli(['init', '--source', 'kafka', address, '--json'], { cwd });
    const { columns, next } = said.json<{ columns: object; next: readonly string[] }>();
    expect(columns).toEqual({ user: 'shop.customer', item: 'shop.sku', weight: 'rating', ts: 'ts' });
    const ran = [];
    for (const line of next) ran.push(await runCli(line.split(' ').slice(1), { cwd }));
    expect(ran.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(ran[0]!.stdout).toMatch(/^300 events taken in, 0 dead letters/);
    expect(ran[2]!.stdout).toMatch(/^ {2}1 {2}/);
  });

  it('init refuses values that are no JSON, and an absent topic', async () => {
    const topic = await makeTopic(broker());
    await produce(broker(), topic, [{ value: Buffer.of(0, 0, 0, 0, 1, 2) }]);
    for (const [name, message] of [
      [
        topic,
        /DATA_INVALID: topic .*: expected JSON, found other bytes in record 0\n {2}→ write the source by hand/,
      ],
      ['t-absent', /SOURCE_UNREADABLE: .*t-absent/],
    ] as const) {
      const said = await runCli(['init', '--source', 'kafka', `${broker().brokers[0]}/${name}`], {
        cwd: temporaryDirectory(),
      });
      expect(said.stderr).toMatch(message);
    }
  });
});
