import { rollBack } from '../publish/rollback.js';
import { publicationOf, ranked, type VersionSuite } from './sink-fixture.js';

/** Nothing of an abandoned attempt is seen, and an attempt goes on only with the same content. */
export function recoversAttempts({ runner, on, publish }: VersionSuite): void {
  const { it, expect } = runner;
  const { connected, read } = on;

  it('refuses versions that cannot name a place, and steps out of order', async () => {
    for (const version of ['', 'current', 'a:b', 'a/b', '..', 'v~'])
      await expect(on.sink.begin(publicationOf(version)), version).rejects.toMatchObject({
        code: 'SINK_FAILED',
      });
    await expect(on.sink.write('users', [])).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await expect(on.sink.finish()).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });

  it('leaves nothing of an abandoned attempt', async () => {
    await on.sink.begin(publicationOf('v1'));
    await on.sink.write('users', [ranked('ghost', ['a'])]);
    await publish('v1', [ranked('x', ['b'])]);
    expect(await read('users', 'ghost')).toBeUndefined();
    expect(await read('users', 'x')).toEqual(ranked('x', ['b']));
  });

  it('leaves nothing of an attempt that another process abandoned', async () => {
    await on.sink.begin(publicationOf('v1'));
    await on.sink.write('users', [ranked('ghost', ['a'])]);
    await on.sink.close();
    on.sink = await connected();
    await expect(on.sink.point('v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await publish('v1', [ranked('x', ['b'])]);
    expect(await read('users', 'ghost')).toBeUndefined();
  });

  it('refuses to begin a complete version again, and serves it', async () => {
    await publish('v1', [ranked('x', ['a'])]);
    await expect(on.sink.begin(publicationOf('v1'))).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
  });

  it('goes on with an attempt of the same content, and with no other', async () => {
    const begin = (content: string) => on.sink.begin({ ...publicationOf('v1'), content });
    expect(await begin('c')).toEqual({ users: 0, items: 0 });
    await on.sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
    await on.sink.close();
    on.sink = await connected();
    const have = await begin('c');
    if (have.users === 0) await on.sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
    else expect(have).toEqual({ users: 2, items: 0 });
    await on.sink.write('users', [ranked('z', ['a'])]);
    await on.sink.close();
    on.sink = await connected();
    expect(await begin('d')).toEqual({ users: 0, items: 0 });
    await on.sink.write('users', [ranked('x', ['b'])]);
    await on.sink.finish();
    await on.sink.point('v1');
    expect(await read('users', 'x')).toEqual(ranked('x', ['b']));
    expect(await read('users', 'y')).toBeUndefined();
    expect(await read('users', 'z')).toBeUndefined();
  });
}

/** Versions are told, amended and pruned. */
export function keepsVersions({ runner, on, publish }: VersionSuite): void {
  const { it, expect } = runner;
  const { read } = on;

  it('tells its versions, and what they were made of', async () => {
    await on.sink.begin({ ...publicationOf('m.2', 1), model: 'm', content: 'c', change: 7 });
    await on.sink.write('users', [ranked('x', ['a']), ranked('y', ['b'])]);
    await on.sink.write('items', [ranked('a', ['b'])]);
    await on.sink.finish();
    expect(await on.sink.versions()).toMatchObject([
      {
        version: 'm.2',
        model: 'm',
        content: 'c',
        change: 7,
        complete: true,
        lists: { users: 2, items: 1 },
      },
    ]);
  });

  it('amends single lists of a complete version', async () => {
    if (!on.sink.amend) return;
    const { sink } = on;
    await expect(sink.amend!('v1', 'users', { lists: [], gone: [] })).rejects.toMatchObject({
      code: 'SINK_FAILED',
    });
    await publish('v1', [ranked('x', ['a']), ranked('y', ['a']), ranked('gone', ['a'])]);
    const lists = [ranked('y', ['b', 'c']), ranked('new', ['d'])];
    await sink.amend!('v1', 'users', { lists, gone: ['gone', 'nobody'], change: 9 });
    expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
    expect(await read('users', 'y')).toEqual(ranked('y', ['b', 'c']));
    expect(await read('users', 'new')).toEqual(ranked('new', ['d']));
    expect(await read('users', 'gone')).toBeUndefined();
    expect(await sink.versions()).toMatchObject([{ version: 'v1', change: 9, complete: true }]);
    await publish('v2', [], 1);
    await sink.prune?.(1);
    expect((await sink.versions()).map(v => v.version)).toEqual(['v2']);
  });

  it('orders versions as they were published, whatever the clock said, and older releases by time', async () => {
    const years = { old1: 2030, old2: 2031, a: 2026, b: 2027, c: 2026 };
    for (const [ordinal, [version, year]] of Object.entries(years).entries()) {
      const publishedAt = `${year}-01-01T00:00:00.000Z`;
      const place = version.startsWith('old') ? {} : { ordinal };
      await on.sink.begin({ ...publicationOf(version), publishedAt, ...place });
      await on.sink.finish();
      await on.sink.point(version);
    }
    for (const version of ['b', 'a', 'old2', 'old1'])
      expect((await rollBack([on.sink], 'champion')).version).toBe(version);
    await expect(rollBack([on.sink], 'champion')).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
    await on.sink.point('c');
    await on.sink.prune!(2);
    expect((await on.sink.versions()).map(v => v.version).sort()).toEqual(['b', 'c']);
  });

  it('prunes to the newest versions and the current one', async () => {
    for (const [minute, version] of ['v1', 'v10', 'v2', 'v3-b', 'v3'].entries())
      await publish(version, [ranked('x', [version])], minute);
    await on.sink.point('v10');
    await on.sink.prune!(1);
    for (const version of ['v1', 'v2', 'v3-b'])
      await expect(on.sink.point(version), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await read('users', 'x')).toEqual(ranked('x', ['v10']));
    await on.sink.point('v3');
    expect(await read('users', 'x')).toEqual(ranked('x', ['v3']));
    await on.sink.prune!(0);
    expect(await read('users', 'x')).toEqual(ranked('x', ['v3']));
    await expect(on.sink.point('v10')).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });
}

/** Any id and any list comes back as it went in. */
export function keepsLists({ runner, on, publish, options }: VersionSuite): void {
  const { it, expect } = runner;
  const { read } = on;

  it('keeps the mark of what fills up a list', async () => {
    if (!on.sink.get) return;
    await publish('v1', [{ ...ranked('x', ['a', 'b', 'c']), fallback: 2 }]);
    expect(await read('users', 'x')).toEqual({ ...ranked('x', ['a', 'b', 'c']), fallback: 2 });
  });

  it('gives back any id', async () => {
    const ids = [
      'a b',
      'a:b',
      'a:b:u:c',
      'a/b',
      '../a',
      '"',
      "'",
      '%',
      '\n',
      'ž',
      '日本',
      '🎧',
      '0',
      'current',
    ];
    ids.push('k'.repeat(1024), `${'k'.repeat(1023)}l`, '日'.repeat(341));
    await publish(
      'v1',
      ids.map((id, k) => ranked(id, [id, `item ${k}`])),
    );
    for (const [k, id] of ids.entries())
      expect(await read('users', id)).toEqual(ranked(id, [id, `item ${k}`]));
    expect(await read('users', 'k'.repeat(1023))).toBeUndefined();
  });

  it('takes an empty version and an empty list', async () => {
    await publish('v0', []);
    expect(await on.sink.current()).toBe('v0');
    expect(await read('users', 'x')).toBeUndefined();
    await publish('v1', [ranked('x', []), ranked('y', ['a'])], 1);
    expect(await read('users', 'x')).toEqual(options.keepsEmptyLists === false ? undefined : ranked('x', []));
    expect(await read('users', 'y')).toEqual(ranked('y', ['a']));
  });

  it('takes many lists in several batches', async () => {
    const ids = Array.from({ length: 5000 }, (_, k) => `user ${k}`);
    await on.sink.begin(publicationOf('v1'));
    for (let k = 0; k < ids.length; k += 1000)
      await on.sink.write(
        'users',
        ids.slice(k, k + 1000).map(id => ranked(id, [id, 'a', 'b'])),
      );
    await on.sink.finish();
    await on.sink.point('v1');
    for (const id of [ids[0]!, ids[999]!, ids[1000]!, ids[4999]!])
      expect(await read('users', id)).toEqual(ranked(id, [id, 'a', 'b']));
  });
}

/** Erased ids are gone from every version, whichever an alias names, and stay gone. */
export function forgetsIds({ runner, on, write, publish }: VersionSuite): void {
  const { it, expect } = runner;
  const { read } = on;

  it('forgets ids in every version, for good', async () => {
    if (!on.sink.forget) return;
    await publish('v1', [ranked('her', ['a']), ranked('x', ['a', 'hers', 'b'])]);
    await on.sink.begin(publicationOf('v2', 1));
    await on.sink.write('users', [ranked('her', ['b']), ranked('x', ['hers', 'c'])]);
    await on.sink.write('items', [ranked('hers', ['a']), ranked('a', ['b'])]);
    await on.sink.finish();
    await on.sink.point('v2', 'champion', 'v1');
    const forgotten = await on.sink.forget({ users: ['her'], items: ['hers'] });
    expect(forgotten.deleted >= 3).toBe(true);
    for (const version of ['v2', 'v1']) {
      await on.sink.point(version);
      expect(await read('users', 'her'), version).toBeUndefined();
      expect(await read('items', 'hers'), version).toBeUndefined();
      const { items } = (await read('users', 'x'))!;
      const rest = version === 'v2' ? ['c'] : ['a', 'b'];
      if (forgotten.rewritten > 0) expect(items).toEqual(rest);
      else expect(forgotten.remains.some(text => text.includes('an item only she had'))).toBe(true);
    }
    await write('v3', [ranked('her', ['a'])], 2);
    await on.sink.point('v3');
    expect(await read('users', 'her')).toEqual(ranked('her', ['a']));
  });

  it('forgets ids of any length, and takes them out of lists of any', async () => {
    if (!on.sink.forget) return;
    for (const [version, bytes] of [
      ['v1', 1024],
      ['v2', 2048],
    ] as const) {
      const [her, other, item] = ['h', 'o', 'i'].map(letter => letter.repeat(bytes)) as [
        string,
        string,
        string,
      ];
      await publish(version, [ranked(her, ['a']), ranked(other, ['a', item])]);
      const forgotten = await on.sink.forget({ users: [her], items: [item] });
      expect(await read('users', her)).toBeUndefined();
      const { items } = (await read('users', other))!;
      if (forgotten.rewritten > 0) expect(items).toEqual(['a']);
      else expect(forgotten.remains.length > 0).toBe(true);
    }
  });

  it('clears away an attempt that has an erased id, and forgets nothing while another writes', async () => {
    if (!on.sink.forget) return;
    const other = await on.connected('other');
    await other.begin(publicationOf('v1'));
    await other.write('users', [ranked('her', ['a'])]);
    await expect(on.sink.forget({ users: ['her'], items: [] })).rejects.toMatchObject({
      code: 'SINK_FAILED',
    });
    await other.close();
    expect(await on.sink.forget({ users: ['her'], items: [] })).toMatchObject({ deleted: 0 });
    expect(await on.sink.versions()).toEqual([]);
  });
}
