/**
 * A real Apache Kafka in KRaft mode, one node, on free loopback ports. It imports nothing of the test runner, so
 * that benchmarks use it too; `with-broker.ts` gives it to a test file.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { provider, releaseOf } from './kafka/install.js';
import { dockerServer, javaServer, type ScramUser } from './kafka/server.js';

export { provider } from './kafka/install.js';

/** How a broker is set up. Any of it asks for a broker of our own, whatever `KAFKA_BROKERS` names. */
export interface BrokerOptions {
  /** It will be restarted. */
  readonly own?: boolean;
  /** A release (`4.1.1`) or a line of releases (`3.9`, `4`); `KAFKA_VERSION`, or the newest, by default. */
  readonly version?: string;
  /** What clients of `Broker.brokers` must speak. */
  readonly protocol?: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';
  /** Further broker properties. The clients' listener is called EXTERNAL. */
  readonly properties?: Readonly<Record<string, string>>;
  readonly scram?: readonly ScramUser[];
  readonly heapMiB?: number;
  /** Where the broker keeps its files, for properties that name some; a temporary directory by default. */
  readonly directory?: string;
}

/** A broker that is up. */
export interface Broker {
  /** Addresses for clients, which speak `protocol`. */
  readonly brokers: readonly string[];
  /** Addresses of a listener without security, for the tests' own looks and preparations. */
  readonly open: readonly string[];
  /** Whether this process started it, and so may restart it. */
  readonly own: boolean;
  /** Ends the broker, cleanly or by SIGKILL, and starts it again over the same data; returns when it serves. */
  restart(how: 'clean' | 'hard'): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** Loopback ports that nothing listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      s =>
        new Promise<number>((resolve, reject) => {
          s.once('error', reject);
          s.listen(0, '127.0.0.1', () => resolve((s.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map(s => new Promise(done => s.close(done))));
  return ports;
}

/** Waits until a broker answers; `alive` may throw to end the wait. */
async function serving(brokers: readonly string[], alive: () => void): Promise<void> {
  const kafka = new Kafka({
    brokers: [...brokers],
    clientId: 'tests',
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1000,
    retry: { retries: 0 },
  });
  const deadline = Date.now() + 90_000;
  for (;;) {
    const admin = kafka.admin();
    try {
      await admin.connect();
      if ((await admin.describeCluster()).brokers.length > 0) return;
    } catch (error) {
      alive();
      if (Date.now() > deadline) throw error;
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
    await sleep(100);
  }
}

const everywhere = (port: number, docker: boolean): string => `${docker ? '0.0.0.0' : '127.0.0.1'}:${port}`;

function propertiesOf(
  [external, open, controller]: readonly [number, number, number],
  { protocol = 'PLAINTEXT', properties = {} }: BrokerOptions,
  docker: boolean,
): Record<string, string> {
  const single = ['offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'];
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `EXTERNAL://${everywhere(external, docker)},OPEN://${everywhere(open, docker)},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `EXTERNAL://127.0.0.1:${external},OPEN://127.0.0.1:${open}`,
    'listener.security.protocol.map': `EXTERNAL:${protocol},OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'OPEN',
    ...Object.fromEntries(single.map(topic => [`${topic}.replication.factor`, '1'])),
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    'auto.create.topics.enable': 'false',
    'log.retention.check.interval.ms': '500',
    'log.cleaner.backoff.ms': '500',
    'controlled.shutdown.enable': 'true',
    ...properties,
  };
}

/** Starts a broker, or hands out the one that `KAFKA_BROKERS` names. Throws when there is nothing to start it with. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const from = await provider(Object.keys(options).length > 0);
  if (from.kind === 'missing') throw new StageError('USAGE', from.reason);
  if (from.kind === 'given') {
    const restart = () => Promise.reject(new Error('a broker named by KAFKA_BROKERS is not restarted'));
    return { brokers: from.brokers, open: from.brokers, own: false, restart, stop: async () => undefined };
  }
  const [external, open, controller] = (await freePorts(3)) as [number, number, number];
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'sansa-stream-kafka-'));
  const docker = from.kind === 'docker';
  const settings = {
    release: releaseOf(options.version),
    directory,
    properties: propertiesOf([external, open, controller], options, docker),
    scram: options.scram ?? [],
    heapMiB: options.heapMiB ?? 384,
  };
  const server = await (docker ? dockerServer(settings, [external, open]) : javaServer(settings)).catch(
    error => {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    },
  );
  const openAddress = [`127.0.0.1:${open}`];
  const up = async () => {
    await server.start();
    await serving(openAddress, server.assertRunning);
  };
  const stop = async () => {
    await server.remove();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await up();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    brokers: [`127.0.0.1:${external}`],
    open: openAddress,
    own: true,
    async restart(how) {
      await server.end(how);
      await up();
    },
    stop,
  };
}
