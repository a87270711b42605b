import { Agent, request } from 'node:http';

/** What a load test measured, times in milliseconds as a client sees them. */
export interface LoadReport {
  readonly requests: number;
  readonly failed: number;
  readonly requestsPerSecond: number;
  readonly ms: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
}

/** Asks `base` for the lists of `users`, in turns, over `connections` connections for `seconds`. */
export async function load(
  base: string,
  users: readonly string[],
  { connections = 16, seconds = 5 } = {},
): Promise<LoadReport> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const times: number[] = [];
  let failed = 0;
  let next = 0;
  const ask = (user: string) =>
    new Promise<number | undefined>(resolve => {
      request(`${base}/users/${encodeURIComponent(user)}`, { agent }, response => {
        response.resume().once('end', () => resolve(response.statusCode));
      })
        .once('error', () => resolve(undefined))
        .end();
    });
  const started = performance.now();
  const until = started + seconds * 1000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < until) {
        const began = performance.now();
        if ((await ask(users[next++ % users.length]!)) !== 200) failed++;
        times.push(performance.now() - began);
      }
    }),
  );
  const tookSeconds = (performance.now() - started) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (p: number) => times[Math.min(times.length - 1, Math.floor(p * times.length))] ?? 0;
  return {
    requests: times.length,
    failed,
    requestsPerSecond: Math.round(times.length / tookSeconds),
    ms: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
  };
}
