import type { Logger } from '../src/contracts/index.js';
import { onBehalfOf } from './log-context.js';
import type { Observer } from './observe.js';

/** Time between two lines about a source. */
const everyMs = 60_000;

/**
 * Says once a minute what came of each source, also when nothing did: so an idle stage and a dead one look different, and a
 * busy one does not fill the log. Ends when `signal` aborts.
 */
export function reportIngest(sources: readonly string[], log: Logger, signal: AbortSignal): Observer {
  const zero = () => ({ records: 0, events: 0, deadLetters: 0, caughtUp: false });
  const sums = new Map(sources.map(source => [source, zero()]));
  let since = performance.now();
  const report = (): void => {
    const seconds = (performance.now() - since) / 1000;
    since = performance.now();
    for (const [source, { records, events, deadLetters, caughtUp }] of sums) {
      const skipped = Math.max(0, records - events - deadLetters);
      const eventsPerSecond = Number((events / seconds).toFixed(1));
      const fields = { source, events, eventsPerSecond, skipped, deadLetters, caughtUp };
      onBehalfOf({ component: 'ingest' }, () =>
        log.info(fields, events > 0 ? 'events ingested' : 'no events came'),
      );
      sums.set(source, zero());
    }
  };
  const timer = setInterval(report, everyMs).unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return {
    batch(source, { read, events, deadLetters }) {
      const sum = sums.get(source)!;
      sum.records += read;
      sum.events += events;
      sum.deadLetters += deadLetters;
    },
    caughtUp(source) {
      sums.get(source)!.caughtUp = true;
    },
  };
}
