/** A fit over several states: disjoint users, items known here and there, one Gramian. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createPipeline, openSegment, type PipelineOptions, readColumns } from '#jobs/index.js';
import { mergeItems, renameItems } from '#src/gramian/merge.js';
import type { Manifest } from '#src/index.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { seeded } from '../support/random.js';

const random = seeded(21);
const shards = 3;
/** Users skew to their shard's items, so that dictionaries differ and some items are in one state only. */
const events = Array.from({ length: 900 }, () => {
  const user = Math.floor(random() * 60);
  return {
    user,
    item: `i${Math.floor(random() * 25) + 8 * (user % shards)}`,
    weight: 1 + Math.floor(random() * 4),
  };
});

async function make(state: string, some: typeof events, rest: PipelineOptions = {}): Promise<void> {
  const rows = some.map(e => `(${e.user}, '${e.item}', ${e.weight})`).join(', ');
  const pipeline = await createPipeline({
    state,
    semantics: { interactions: 'sum', weightScale: 1 },
    sources: [{ type: 'duckdb', query: `SELECT * FROM (VALUES ${rows}) t("user", item, weight)` }],
    gramian: { mode: 'stored' },
    fold: { maxEvents: 100 },
    ...rest,
  });
  try {
    await pipeline.ingest();
    await pipeline.fold();
  } finally {
    await pipeline.close();
  }
}

/** Opens a state, without its sources, for a look. */
async function look(state: string) {
  const pipeline = await createPipeline({
    state,
    semantics: { interactions: 'sum', weightScale: 1 },
    gramian: { mode: 'stored' },
  });
  const { store } = pipeline.parts;
  const found = {
    keys: await store.itemKeys(),
    paths: (await store.segments()).map(s => join(state, 'gramian', s.file)),
  };
  await pipeline.close();
  return found;
}

/** The sum of segment files as `item item` → value ≠ 0. */
function summed(paths: readonly string[], keys: readonly string[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const path of paths) {
    const segment = openSegment(path);
    expect(segment.intact()).toBe(true);
    const all = readColumns(segment, 0, segment.n);
    for (let j = 0, at = 0; j < segment.n; at += all.lengths[j++]!) {
      const indices = all.indices.subarray(at, at + all.lengths[j]!);
      expect([...indices]).toEqual([...indices].sort((a, b) => a - b));
      indices.forEach((i, e) => {
        const key = `${keys[i]} ${keys[j]}`;
        sum.set(key, (sum.get(key) ?? 0) + all.values[at + e]!);
      });
    }
    segment.close();
  }
  return new Map([...sum].filter(([, x]) => x !== 0).sort());
}

describe('a fit over several states', () => {
  let root = '';
  const states = Array.from({ length: shards }, (_, s) => `shard-${s}`);
  const flags = () => states.flatMap(s => ['--state', join(root, s)]);
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'sansa-stream-shards-'));
    await make(join(root, 'all'), events);
    for (const [s, name] of states.entries())
      await make(
        join(root, name),
        events.filter(e => e.user % shards === s),
      );
    return () => rmSync(root, { recursive: true });
  });

  it('adds up to one state that was fed with everything, entry for entry', async () => {
    const all = await look(join(root, 'all'));
    const parts = await Promise.all(states.map(s => look(join(root, s))));
    const { keys, ids } = mergeItems(parts.map(p => p.keys));
    expect([...keys].sort()).toEqual([...all.keys].sort());
    const renamed = temporaryDirectory();
    const paths = parts.flatMap((p, s) =>
      p.paths.map(path => join(renamed, renameItems(path, ids[s]!, keys.length, renamed).file)),
    );
    const expected = summed(all.paths, all.keys);
    expect(expected.size).toBeGreaterThan(500);
    expect(summed(paths, keys)).toEqual(expected);
  });

  it('writes a model of all items and users, whatever the order of the states', async () => {
    const out = temporaryDirectory();
    const result = await runCli(['fit', ...flags(), '--out', out, '--density', '0.2', '--json']);
    expect(result.code, result.stderr).toBe(0);
    const manifest = result.json<Manifest & { waiting: number; states: string[] }>();
    const { keys } = await look(join(root, 'all'));
    expect(manifest).toMatchObject({
      items: { count: keys.length },
      users: new Set(events.map(e => e.user)).size,
      interactions: new Set(events.map(e => `${e.user} ${e.item}`)).size,
      events: events.length,
      gramian: 'stored',
      waiting: 0,
    });
    expect(readdirSync(out)).toEqual([manifest.version]);
    const items = JSON.parse(readFileSync(join(out, manifest.version, 'items.json'), 'utf8')) as string[];
    expect(items.sort()).toEqual([...keys].sort());
    const reversed = await runCli([
      'fit',
      ...[...states].reverse().flatMap(s => ['--state', join(root, s)]),
      '--out',
      out,
      '--density',
      '0.2',
      '--json',
    ]);
    expect(reversed.json<Manifest>()).toMatchObject({
      interactions: manifest.interactions,
      parameters: manifest.parameters,
    });
  });

  it('refuses what does not add up, and says why', async () => {
    const [other, empty] = [temporaryDirectory(), temporaryDirectory()];
    await make(other, events.slice(0, 5), { semantics: { interactions: 'sum', weightScale: 10 } });
    const implicit = temporaryDirectory();
    await make(implicit, events.slice(0, 5), { gramian: { mode: 'implicit' } });
    mkdirSync(join(empty, 'gramian'));
    const first = join(root, 'shard-0');
    const refused = async (state: string) =>
      (await runCli(['fit', '--state', first, '--state', state, '--out', empty])).stderr;
    expect(await refused(other)).toMatch(
      /^STATE_MISMATCH: semantics\.weightScale: .*shard-0 was made with 1, .* with 10\n/,
    );
    expect(await refused(implicit)).toMatch(
      /^STATE_MISMATCH: .*: expected a stored Gramian, found implicit: set gramian\.mode/,
    );
    expect(await refused(empty)).toMatch(/^STATE_EMPTY: .*: expected a state, found none\n/);
    const holder = await createPipeline({
      state: other,
      semantics: { interactions: 'sum', weightScale: 10 },
    });
    expect(await refused(other)).toMatch(/^STATE_LOCKED: /);
    await holder.close();
  });
});
