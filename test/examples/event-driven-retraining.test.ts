/** The example's script against its pipeline, as it stands, on a real broker. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../support/directory.js';
import { output } from '../support/node-process.js';
import { startCli, stopCli } from '../support/service.js';
import { withBroker } from '../support/with-broker.js';

const root = new URL('../../', import.meta.url);
const script = fileURLToPath(new URL('dist/examples/event-driven-retraining/demo.js', root));
const pipeline = fileURLToPath(new URL('examples/event-driven-retraining/pipeline.yaml', root));

await withBroker('event-driven retraining', { own: true }, broker => {
  it('fits for a count of events and for a signal, and shows both', { timeout: 180_000 }, async () => {
    const env = { KAFKA_BROKERS: broker().brokers.join(','), DEMO_DIRECTORY: temporaryDirectory() };
    const stage = startCli(['run', '-c', pipeline], env);
    const demo = spawn(process.execPath, [script], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const printed = await output(demo);
    const shown = [...printed.matchAll(/^version (\S+): (\d+) customers; for \S+: (.+)$/gm)];
    expect(shown, printed + stage.errors()).toHaveLength(2);
    expect(shown[0]![1]).not.toBe(shown[1]![1]);
    for (const [, , customers, items] of shown) {
      expect(Number(customers)).toBeGreaterThan(50);
      expect(items!.split(' ')).toHaveLength(5);
    }
    await stage.logged('signal ended', line => line.status === 'done');
    expect((await stopCli(stage)).code).toBe(0);
  });
});
