import { afterAll, beforeAll, describe } from 'vitest';
import { type Broker, type BrokerOptions, provider, startBroker } from './broker.js';

/**
 * A suite with a broker of its own. Without anything to start one the suite is skipped and says why; with
 * `REQUIRE_SERVICES=1` that is a failure.
 */
export async function withBroker(
  name: string,
  options: BrokerOptions,
  body: (broker: () => Broker) => void,
): Promise<void> {
  const from = await provider(Object.keys(options).length > 0);
  if (from.kind === 'missing') {
    if (process.env.REQUIRE_SERVICES === '1') throw new Error(`${name}: ${from.reason}`);
    console.warn(`skipped: ${name}: ${from.reason}`);
    describe.skip(`${name} (skipped: ${from.reason})`, () => body(() => undefined as never));
    return;
  }
  describe(name, () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await startBroker(options);
    }, 300_000);
    afterAll(() => broker?.stop());
    body(() => broker);
  });
}
