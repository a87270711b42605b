import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Logger } from '../../src/contracts/index.js';
import { createApp, loopback } from './app.js';
import { createMetrics, type OpenStage, type StageMetrics } from './metrics.js';
import type { HttpOptions } from './options.js';

/** Bounds of connections. */
const limits = { maxHeaderSize: 8192, headersTimeout: 5000, requestTimeout: 10_000, keepAliveTimeout: 5000 };
const mostConnections = 256;
/** Pause before a port that somebody has is tried again. */
const retryMs = 1000;

/** HTTP of a process that has a stage, or waits for one. */
export interface Http {
  readonly metrics: StageMetrics;
  /** Answers for a stage from now on, until `undefined` takes it away. */
  attach(stage: OpenStage | undefined): void;
  close(): Promise<void>;
}

/**
 * Listens for HTTP. Where another process has the port, as on one machine the active process has that of its standby, it
 * goes on trying.
 */
export function openHttp({ listen, token }: HttpOptions, log: Logger): Http {
  const metrics = createMetrics();
  let stage: OpenStage | undefined;
  const app = createApp(() => stage, metrics, { token, local: loopback.test(listen) });
  const server = createServer(limits, getRequestListener(app.fetch));
  server.maxConnections = mostConnections;
  const stop = keepListening(server, listen, log);
  return {
    metrics,
    attach(next) {
      stage = next;
      metrics.attach(next);
    },
    async close() {
      stop();
      const closed = new Promise(done => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Listens as soon as the port is free; returns a function that gives up. */
function keepListening(server: Server, listen: string, log: Logger): () => void {
  const colon = listen.lastIndexOf(':');
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(listen.slice(colon + 1));
  let [timer, said]: [NodeJS.Timeout | undefined, boolean] = [undefined, false];
  const attempt = (): void => void server.listen({ host, port });
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (!said) log.warn({ listen, code: error.code }, 'HTTP could not listen: it is tried again');
    said = true;
    timer = setTimeout(attempt, retryMs);
  });
  server.on('listening', () => {
    const { port } = server.address() as { port: number };
    log.info({ address: host, port }, 'HTTP listened');
  });
  attempt();
  return () => clearTimeout(timer);
}
