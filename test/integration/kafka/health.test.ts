/**
 * A stage beside a real broker that dies twice: known within 5 s, said once each time, and nothing is lost. The alert over
 * what was scraped meanwhile fires and clears twice.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../../support/directory.js';
import { type Expected, Scrapes, skipped } from '../../support/promtool.js';
import { startCli, stopCli, until } from '../../support/service.js';
import { makeTopic, produce } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const events = (from: number, count: number) =>
  Array.from({ length: count }, (_, k) => ({
    key: `u${(from + k) % 50}`,
    value: JSON.stringify({ user: `u${(from + k) % 50}`, item: `i${from + k}` }),
  }));

/** A scrape each half second counts as one of each half minute: outages of a broker that starts again are short. */
const scrapeMs = 500;
const scrapes = new Scrapes(30);
const expected: Expected[] = [];
const down =
  'ALERTS{alertname="SansaStreamSystemDown", alertstate="firing", kind="source", name="shop", severity="page"}';

/** Scrapes until the stop. */
async function scrape(url: string, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    scrapes.add(await (await fetch(`${url}/metrics`)).text());
    await sleep(scrapeMs);
  }
}

/** Notes which alerts have to fire when some more scrapes were made. */
async function expectFiring(...firing: string[]): Promise<void> {
  const scrape = scrapes.count + 5;
  await until('more scrapes', () => scrapes.count > scrape);
  expected.push({ scrape, firing });
}

await withBroker('health', { own: true }, broker => {
  it('tells outages and recoveries of the broker, and its lag', { timeout: 300_000 }, async () => {
    const directory = temporaryDirectory();
    const topic = await makeTopic(broker(), 2);
    const config = join(directory, 'pipeline.yaml');
    const source = { type: 'kafka', name: 'shop', brokers: broker().brokers, topics: [topic], group: topic };
    const schedule = { fold: { cron: '0 0 1 1 *' }, pollMs: 100 };
    writeFileSync(config, JSON.stringify({ sources: [source], schedule, http: { listen: '127.0.0.1:0' } }));
    const run = startCli(['run', '-c', config]);
    const url = `http://127.0.0.1:${(await run.logged('HTTP listened')).port}`;
    const ready = async () => (await fetch(`${url}/readyz`)).status === 200;
    const sum = async (name: string) => {
      const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
      const values = lines
        .filter(l => l.startsWith(`sansa_stream_${name}{`))
        .map(l => Number(l.split(' ').at(-1)));
      return values.length === 0 ? undefined : values.reduce((a, b) => a + b);
    };
    await run.logged('started');
    await until('it to be ready', ready);
    const stop = new AbortController();
    const scraping = scrape(url, stop.signal);
    for (const round of [1, 2]) {
      await produce(broker(), topic, events(500 * round, 500));
      await until('all events', async () => (await sum('source_events_total')) === 500 * round, {
        seconds: 60,
      });
      await until('no lag', async () => (await sum('source_lag_events')) === 0);
      await expectFiring();
      const back = broker().restart('hard');
      await until('503', async () => !(await ready()), { seconds: 5 });
      await expectFiring(down);
      await back;
      await until('200', ready, { seconds: 30 });
      const said = run.log().map(l => l.msg);
      expect(said.filter(m => m === 'source did not answer')).toHaveLength(round);
      expect(said.filter(m => m === 'source answered again')).toHaveLength(round);
    }
    await produce(broker(), topic, events(5000, 100));
    await until('the last events', async () => (await sum('source_events_total')) === 1100, { seconds: 90 });
    await expectFiring();
    stop.abort();
    await scraping;
    expect(await stopCli(run)).toMatchObject({ code: 0 });
  });

  it.skipIf(skipped())('alerts twice', () => {
    expect(expected).toHaveLength(5);
    scrapes.expectAlerts(temporaryDirectory(), expected);
  });
});
