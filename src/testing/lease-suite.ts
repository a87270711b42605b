import type { Sink } from '../contracts/sink.js';
import { fixtures, publicationOf, ranked, type SinkSuiteOptions, type TestRunner } from './sink-fixture.js';

/** Keeps this thread from everything for `ms`, as a machine that is suspended. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** The lease of the sinks. `keepsWhatRanOut: false` where one that ran out is gone, so that nobody can tell who came. */
export interface LeaseSuiteOptions extends SinkSuiteOptions {
  readonly leaseMs: number;
  readonly keepsWhatRanOut?: boolean;
}

/**
 * What every sink does that keeps publishers apart by a lease. `makeSink(store)` is that of `sinkSuite`, for sinks whose
 * lease lasts `leaseMs`. It proves that an attempt whose lease was lost never writes, completes or points again, whoever
 * came after it and whether that one is still there; and that a lease is renewed as long as its holder runs.
 */
export function leaseSuite(
  runner: TestRunner,
  name: string,
  makeSink: (store: string) => Sink,
  { leaseMs, keepsWhatRanOut = true, ...options }: LeaseSuiteOptions,
): void {
  const { describe, it, expect } = runner;
  const refused = { code: 'SINK_FAILED' };
  describe(`${name} sink, its lease`, () => {
    const on = fixtures(runner, makeSink, options);

    /** Publishes a version as somebody else. */
    async function overtake(version: string, alias: string): Promise<void> {
      const other = await on.connected('other');
      await other.begin(publicationOf(version, 1));
      await other.write('users', [ranked('x', ['b'])]);
      await other.finish();
      await other.point(version, alias);
      await other.close();
    }

    /** Begins v1 and renews its lease only by what is returned: a process that stands still, beside others. */
    async function beginAsleep(): Promise<() => Promise<void>> {
      const { setInterval } = globalThis;
      const due: (() => void)[] = [];
      const late = (body: () => void) => {
        due.push(body);
        return setInterval(() => undefined, 1 << 30);
      };
      globalThis.setInterval = late as unknown as typeof setInterval;
      try {
        await on.sink.begin(publicationOf('v1'));
      } finally {
        globalThis.setInterval = setInterval;
      }
      return async () => {
        for (const body of due) body();
        await new Promise(resolve => setTimeout(resolve, 500));
      };
    }

    it('is lost for an attempt that stood still, which then completes nothing', async () => {
      const { sink } = on;
      const awake = await beginAsleep();
      await sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
      standStill(leaseMs + 100);
      await overtake('v2', 'candidate');
      await awake();
      await expect(sink.write('users', [ranked('z', ['a'])])).rejects.toMatchObject(refused);
      await expect(sink.finish()).rejects.toMatchObject(refused);
      await expect(sink.point('v1')).rejects.toMatchObject(refused);
      expect(await sink.current()).toBeUndefined();
      expect((await sink.versions()).filter(v => v.complete).map(v => v.version)).toEqual(['v2']);
      await sink.begin(publicationOf('v1'));
      await sink.write('users', [ranked('x', ['a'])]);
      await sink.finish();
      await sink.point('v1');
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['a']));
    });

    it('is lost for an attempt that stood still, which then points at nothing', async () => {
      const { sink } = on;
      const awake = await beginAsleep();
      await sink.write('users', [ranked('x', ['a'])]);
      await sink.finish();
      standStill(leaseMs + 100);
      await overtake('v2', 'candidate');
      await awake();
      await expect(sink.point('v1')).rejects.toMatchObject(refused);
      expect(await sink.current()).toBeUndefined();
      expect(await sink.current('candidate')).toBe('v2');
    });

    async function goOn(): Promise<void> {
      const { sink } = on;
      await sink.begin(publicationOf('v1'));
      await sink.write('users', [ranked('x', ['a'])]);
      standStill(leaseMs + 100);
      // The renewal that is late, and writes beside it.
      await new Promise(resolve => setTimeout(resolve, 100));
      await sink.write('users', [ranked('y', ['a'])]);
      standStill(leaseMs + 100);
      await sink.finish();
      standStill(leaseMs + 100);
      await sink.point('v1');
      expect(await on.read('users', 'y')).toEqual(ranked('y', ['a']));
      const other = await on.connected('other');
      await expect(other.begin(publicationOf('v2'))).rejects.toMatchObject(refused);
    }
    if (keepsWhatRanOut) it('is kept by an attempt that stood still while nobody came', goOn);

    it('is lost for an attempt that has not noticed', async () => {
      const { sink } = on;
      await beginAsleep();
      await sink.write('users', [ranked('x', ['a'])]);
      standStill(leaseMs + 100);
      await overtake('v2', 'candidate');
      await expect(sink.finish()).rejects.toMatchObject(refused);
      await beginAsleep();
      await sink.write('users', [ranked('x', ['a'])]);
      await sink.finish();
      standStill(leaseMs + 100);
      await overtake('v3', 'candidate');
      await expect(sink.point('v1')).rejects.toMatchObject(refused);
      expect(await sink.current()).toBeUndefined();
      expect(await sink.current('candidate')).toBe('v3');
    });

    it('is lost when the same owner begins anew', async () => {
      const first = await on.connected('one');
      await first.begin(publicationOf('v1'));
      await first.write('users', [ranked('ghost', ['a'])]);
      const second = await on.connected('one');
      await second.begin(publicationOf('v1'));
      await expect(
        first.write('users', [ranked('x', ['a'])]).then(() => first.finish()),
      ).rejects.toMatchObject(refused);
      await second.write('users', [ranked('x', ['b'])]);
      await second.finish();
      await second.point('v1');
      await first.close();
      on.sink = second;
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['b']));
      expect(await on.read('users', 'ghost')).toBeUndefined();
    });

    it('lasts as long as its holder runs', async () => {
      await on.sink.begin(publicationOf('v1'));
      await new Promise(resolve => setTimeout(resolve, 1.5 * leaseMs));
      const other = await on.connected('other');
      await expect(other.begin(publicationOf('v2'))).rejects.toMatchObject(refused);
      await on.sink.write('users', [ranked('x', ['a'])]);
      await on.sink.finish();
      await on.sink.point('v1');
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['a']));
    });
  });
}
