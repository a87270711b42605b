import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Feeds } from './feeds.js';

/**
 * How long the pointer is taken for granted, in milliseconds. It must be shorter than the time for which lists of a
 * superseded version stay (`graceMs` of the Redis sink, a minute unless told otherwise).
 */
const pointerMs = 100;
/** Own times remembered for the percentiles. */
const remembered = 10_000;

const json = { 'content-type': 'application/json' };

/**
 * A web service over published lists: `/users/<id>` and `/items/<id>` answer with the list as it is stored,
 * `/metrics` with how long the service itself took, the store's time left out.
 */
export function feedServer(feeds: Feeds): Server {
  const own = new Float64Array(remembered);
  let requests = 0;
  let version: string | undefined;
  let readAt = Number.NEGATIVE_INFINITY;

  async function current(): Promise<string | undefined> {
    if (performance.now() - readAt < pointerMs) return version;
    version = await feeds.version();
    readAt = performance.now();
    return version;
  }

  async function answer(kind: 'u' | 'i', id: string, response: ServerResponse): Promise<void> {
    const arrived = performance.now();
    const named = await current();
    const list = named === undefined ? undefined : await feeds.list(named, kind, id);
    const found = performance.now();
    // What the store took is between the two; what is measured is the work around it.
    if (list === undefined) response.writeHead(404, json).end('{"error":"no list"}');
    else
      response
        .writeHead(200, { ...json, 'content-length': list.length, 'x-model-version': named! })
        .end(list);
    own[requests++ % remembered] =
      performance.now() - found + (arrived - (response.req.arrivedAt ?? arrived));
  }

  function metrics(): string {
    const times = own.slice(0, Math.min(requests, remembered)).sort();
    const at = (p: number) => times[Math.min(times.length - 1, Math.floor(p * times.length))] ?? 0;
    return JSON.stringify({ requests, ownMs: { p50: at(0.5), p99: at(0.99), max: at(1) } });
  }

  return createServer((request, response) => {
    request.arrivedAt = performance.now();
    const [, kind, id] = /^\/(users|items)\/([^/?]+)$/.exec(request.url ?? '') ?? [];
    if (request.url === '/metrics') {
      response.writeHead(200, json).end(metrics());
      return;
    }
    const key = id && decoded(id);
    if (!key) {
      response.writeHead(404, json).end('{"error":"expected /users/<id> or /items/<id>"}');
      return;
    }
    answer(kind === 'users' ? 'u' : 'i', key, response).catch((error: Error) => {
      if (!response.headersSent) response.writeHead(503, json);
      response.end(JSON.stringify({ error: error.message }));
    });
  });
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

declare module 'node:http' {
  interface IncomingMessage {
    /** When the service got hold of the request, `performance.now()`. */
    arrivedAt?: number;
  }
}
