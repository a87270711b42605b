/**
 * Every block of every README runs or is validated, in the order of its page, in a folder of its own with the files that
 * the manual speaks of; links lead somewhere. A block that may not run says why in a comment before it.
 */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blocksOf, pages, root, textOf } from './support/manual.js';
import { runBlock, type World } from './support/manual-run.js';
import { makeWorld } from './support/manual-world.js';
import { anyRedis, missing, skipped } from './support/redis.js';

const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-manual-'));
let worlds: Awaited<ReturnType<typeof makeWorld>>;
let redis: Awaited<ReturnType<typeof anyRedis>>;

/** Pages for people who have nothing yet. */
const beginning = ['README.md'];
const withBlocks = pages.filter(page => blocksOf(page).length > 0);

describe.skipIf(skipped(missing))('the manual', () => {
  beforeAll(async () => {
    redis = await anyRedis();
    worlds = await makeWorld(directory, redis.url);
  });
  afterAll(async () => {
    await redis?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  describe.each(withBlocks)('%s', page => {
    let world: World;
    beforeAll(() => {
      const copy = join(directory, page.replaceAll('/', '-'));
      const from = beginning.includes(page) ? worlds.bare : worlds.published;
      cpSync(from, copy, { recursive: true, verbatimSymlinks: true });
      world = { directory: copy, env: { REDIS_URL: redis.url } };
    });

    it.each(blocksOf(page))('$line $language', block => {
      const said = runBlock(world, block);
      // A reader of lists prints one.
      if (said && block.code.includes('user-1')) expect(said).toMatch(/sku-\d/);
    });
  });
});

it('leaves few blocks out, each with a reason', () => {
  const all = withBlocks.flatMap(blocksOf);
  const left = all.filter(({ except }) => except);
  for (const { except } of left) expect(except!.reason.split(' ').length).toBeGreaterThan(3);
  expect(left.filter(({ except }) => except!.kind === 'not run').length).toBeLessThan(all.length / 8);
});

it.each(pages)('%s: every link leads somewhere', page => {
  const text = textOf(page).replace(/```.*?```/gs, '');
  for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(target)) continue;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : join(dirname(page), path);
    expect(existsSync(join(root, file)), target).toBe(true);
    if (!anchor) continue;
    const anchors = [...textOf(file).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
    expect(anchors, target).toContain(anchor);
  }
});
