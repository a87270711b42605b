import { publicationOf, ranked, type VersionSuite } from './sink-fixture.js';

/** Lists come back from the version that the pointer names, and from no other. */
export function readsLists({ runner, on, write, publish }: VersionSuite): void {
  const { it, expect } = runner;
  const { connected, read } = on;

  it('returns the lists of the version it points at, users apart from items', async () => {
    expect(await on.sink.current()).toBeUndefined();
    await on.sink.begin(publicationOf('v1'));
    await on.sink.write('users', [ranked('x', ['a', 'b']), ranked('y', ['c'])]);
    await on.sink.write('items', [ranked('x', ['d', 'e', 'f'])]);
    await on.sink.write('users', [ranked('z', ['g'])]);
    await on.sink.finish();
    await on.sink.point('v1');
    expect(await on.sink.current()).toBe('v1');
    expect(await read('users', 'x')).toEqual(ranked('x', ['a', 'b']));
    expect(await read('users', 'z')).toEqual(ranked('z', ['g']));
    expect(await read('items', 'x')).toEqual(ranked('x', ['d', 'e', 'f']));
    expect(await read('items', 'y')).toBeUndefined();
    expect(await read('users', 'nobody')).toBeUndefined();
  });

  it('tells what there is, connected or not', async () => {
    await publish('v1', [ranked('x', ['a'])]);
    const told = await on.sink.contents();
    expect([...told.pointers]).toEqual([['champion', 'v1']]);
    expect(told.versions).toEqual(await on.sink.versions());
    await on.sink.close();
    expect(await on.sink.contents()).toEqual(told);
  });

  it('takes scores from typed arrays', async () => {
    await publish('v1', [{ id: 'x', items: ['a', 'b'], scores: Float32Array.of(0.5, 0.25) }]);
    expect(await read('users', 'x')).toEqual({ id: 'x', items: ['a', 'b'], scores: [0.5, 0.25] });
  });

  it('moves the pointer by point alone', async () => {
    await publish('v1', [ranked('x', ['old'])]);
    await write('v2', [ranked('x', ['new'])]);
    expect(await on.sink.current()).toBe('v1');
    expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
    await on.sink.point('v2');
    expect(await read('users', 'x')).toEqual(ranked('x', ['new']));
    await on.sink.point('v1');
    expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
  });

  it('refuses to point at an unknown or unfinished version', async () => {
    await publish('v1', [ranked('x', ['old'])]);
    await on.sink.begin(publicationOf('v2'));
    await on.sink.write('users', [ranked('x', ['new'])]);
    for (const version of ['v2', 'v3', '', 'current', '../v1', 'v1:u'])
      await expect(on.sink.point(version), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await on.sink.current()).toBe('v1');
    expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
  });

  it('finds its pointer again', async () => {
    await publish('v1', [ranked('x', ['a'])]);
    await on.sink.close();
    await expect(on.sink.write('users', [])).rejects.toMatchObject({ code: 'SINK_FAILED' });
    on.sink = await connected();
    expect(await on.sink.current()).toBe('v1');
    expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
  });
}

/** Aliases are apart, and two publishers do not write at once. */
export function guardsPointers({ runner, on, write, publish }: VersionSuite): void {
  const { it, expect } = runner;
  const { connected, read } = on;

  it('keeps aliases apart', async () => {
    await publish('v1', [ranked('x', ['a'])]);
    await write('v2', [ranked('x', ['b'])], 1);
    await on.sink.point('v2', 'candidate');
    expect(await on.sink.current()).toBe('v1');
    expect(await on.sink.current('candidate')).toBe('v2');
    expect(await on.sink.current('other')).toBeUndefined();
    expect([...(await on.sink.pointers())].sort()).toEqual([
      ['candidate', 'v2'],
      ['champion', 'v1'],
    ]);
    if (on.sink.get) {
      expect(await on.sink.get('users', 'x', 'candidate')).toEqual(ranked('x', ['b']));
      expect(await on.sink.get('users', 'x', 'other')).toBeUndefined();
    }
    await on.sink.prune?.(0);
    expect((await on.sink.versions()).map(v => v.version).sort()).toEqual(['v1', 'v2']);
  });

  it('moves a pointer only from what it is expected to name', async () => {
    for (const [minute, version] of ['v1', 'v2', 'v3'].entries()) await write(version, [], minute);
    await expect(on.sink.point('v1', 'champion', 'v3')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await on.sink.current()).toBeUndefined();
    await on.sink.point('v1', 'champion', null);
    await expect(on.sink.point('v2', 'champion', null)).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await on.sink.point('v2', 'champion', 'v1');
    await expect(on.sink.point('v3', 'champion', 'v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await on.sink.current()).toBe('v2');
  });

  it('keeps a second publisher out until the first has closed', async () => {
    await on.sink.begin(publicationOf('v1'));
    const second = await connected();
    await expect(second.begin(publicationOf('v2'))).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await on.sink.write('users', [ranked('x', ['a'])]);
    await on.sink.finish();
    await on.sink.point('v1');
    await on.sink.close();
    await second.begin(publicationOf('v2', 1));
    await second.finish();
    on.sink = second;
    expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
  });

  it('lets the owner of an attempt that died go on at once', async () => {
    const dead = await connected('one');
    await dead.begin(publicationOf('v1'));
    const next = await connected('one');
    await next.begin(publicationOf('v1'));
    await next.write('users', [ranked('x', ['a'])]);
    await next.finish();
    await next.point('v1');
    on.sink = next;
    expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
  });
}
