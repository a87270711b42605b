/** `tune` on files and on a state: the table, the winner's YAML, and what refits then use. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';
import { purchases, purchasesPipeline } from '../../support/purchases.js';

interface Found {
  readonly best: { id: number; options: object; metrics: Record<string, number> };
  readonly present: { id: number; metrics: Record<string, number> };
  readonly trials: readonly { id: number; options: object; fitSeconds?: number }[];
  readonly test?: Record<string, Record<string, number>>;
  readonly adopted?: boolean;
  peakRssBytes?: number;
}

/** The answer without what differs from run to run. */
function lasting(found: Found): Found {
  delete found.peakRssBytes;
  for (const t of [...found.trials, found.best, found.present])
    delete (t as { fitSeconds?: number }).fitSeconds;
  return found;
}

it('searches on a part of the train file and judges on the test file, alike for the same seed', async () => {
  const cwd = temporaryDirectory();
  const file = (name: string, where: string) =>
    `COPY (SELECT "user", item FROM (${purchases}) WHERE ${where}) TO '${join(cwd, name)}'`;
  await runSql(':memory:', file('train.parquet', 'line % 7 <> 0'), file('test.parquet', 'line % 7 = 0'));
  const flags = [
    '--train',
    'train.parquet',
    '--test',
    'test.parquet',
    '--trials',
    '9',
    '--k',
    '10',
    '--l2',
    '150',
  ];
  const run = async (...args: string[]) => {
    const { code, stderr, json } = await runCli(['tune', ...flags, '--json', ...args], { cwd });
    expect(code, stderr).toBe(0);
    return lasting(json<Found & Record<string, unknown>>());
  };
  const found = await run('--output', 'best.yaml');
  expect(found.trials.map(t => t.id).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(found.present).toMatchObject({ id: 0, options: { l2: 150 } });
  expect(found.best.metrics['ndcg@10']).toBeGreaterThan(found.present.metrics['ndcg@10']!);
  // Chance decides on so small a test set, within its error.
  const judged = found.test!;
  expect(judged.best!['ndcg@10']).toBeGreaterThan(0.9 * judged.present!['ndcg@10']!);
  expect(parse(readFileSync(join(cwd, 'best.yaml'), 'utf8'))).toEqual({ fit: found.best.options });
  expect(lasting(JSON.parse(readFileSync(join(cwd, 'best.json'), 'utf8')) as Found)).toEqual(found);
  expect(await run()).toEqual(found);
  expect((await run('--seed', '2')).trials).not.toEqual(found.trials);
  // The winner measured as `evaluate` measures it.
  const kebab = (name: string) => name.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`);
  const options = Object.entries(found.best.options).flatMap(([name, x]) => [`--${kebab(name)}`, String(x)]);
  const files = ['--train', 'train.parquet', '--test', 'test.parquet', '--k', '10'];
  const measured = await runCli(['evaluate', ...files, ...options, '--json'], { cwd });
  expect(measured.json()).toMatchObject({ serving: { 'ndcg@10': found.test!.best!['ndcg@10'] } });

  const timed = await runCli(['tune', ...flags, '--holdout', 'time'], { cwd });
  expect([timed.code, timed.stderr]).toEqual([
    2,
    expect.stringMatching(/expected --holdout random of files/),
  ]);
  const both = await runCli(['tune', ...flags, '--apply'], { cwd });
  expect([both.code, both.stderr]).toEqual([
    2,
    expect.stringMatching(/--train FILE and --test FILE, or -c FILE/),
  ]);
  const unwritten = await runCli(['tune', ...flags, '--trials', '2', '--output', 'absent/best.yaml'], {
    cwd,
  });
  expect([unwritten.code, unwritten.stderr]).toEqual([
    2,
    expect.stringMatching(/cannot be written \(ENOENT\)/),
  ]);
});

it('gives the winner to the refits of a state until it is reset or the configuration changes', async () => {
  const directory = temporaryDirectory();
  // Present options that are easily beaten: hardly any weights.
  const config = await purchasesPipeline(directory, { fit: { density: 0.016, l2: 150 } });
  const command = async (...args: string[]) => {
    const { code, stderr, json } = await runCli([...args, '-c', config, '--json']);
    expect(code, stderr).toBe(0);
    return json();
  };
  const fitted = async () => (await command('fit')).options;
  await command('ingest');
  await command('fold');
  const flags = ['--trials', '5', '--holdout', 'random', '--k', '10'];
  expect(await command('tune', ...flags)).not.toHaveProperty('adopted');
  expect(await fitted()).toMatchObject({ density: 0.016, l2: 150 });
  const found = (await command('tune', ...flags, '--apply')) as unknown as Found;
  expect(found.adopted).toBe(true);
  expect(found.best.id).not.toBe(0);
  expect(await fitted()).toEqual(found.best.options);
  const status = await command('status');
  expect(status.tuned).toMatchObject({
    inUse: true,
    fit: found.best.options,
    found: found.best.metrics['ndcg@10'],
    before: found.present.metrics['ndcg@10'],
  });
  expect((status.runs as { job: string; detail: string }[]).find(r => r.job === 'tune')!.detail).toMatch(
    /^ndcg@10 0\.\d{4} against 0\.\d{4} of the present options: adopted$/,
  );
  const text = (await runCli(['status', '-c', config])).stdout;
  expect(text).toMatch(
    /^tuned +solver fsai, l2 [\d.]+, neighbours \d+.* \(ndcg@10 0\.\d+ against 0\.\d+ on \d{4}-\d\d-\d\d\)$/m,
  );
  // What a search takes for the present options are the tuned ones now.
  const again = (await command('tune', ...flags)) as unknown as Found & { present: { options: object } };
  expect(again.present.options).toEqual(found.best.options);

  const settings = JSON.parse(readFileSync(config, 'utf8')) as { fit: { l2: number } };
  writeFileSync(config, JSON.stringify({ ...settings, fit: { ...settings.fit, l2: 30 } }));
  expect(await fitted()).toMatchObject({ density: 0.016, l2: 30 });
  expect((await runCli(['status', '-c', config])).stdout).toMatch(
    /^tuned .*not in use, `fit` was changed since$/m,
  );
  writeFileSync(config, JSON.stringify(settings));
  expect(await fitted()).toEqual(found.best.options);
  expect(await command('tune', '--reset')).toEqual({ reset: true });
  expect(await command('tune', '--reset')).toEqual({ reset: false });
  expect(await fitted()).toMatchObject({ density: 0.016, l2: 150 });
  expect(existsSync(join(directory, 'state/models'))).toBe(true);
  expect(readdirSync(join(directory, 'state/models')).filter(name => name.startsWith('.'))).toEqual([]);
});
