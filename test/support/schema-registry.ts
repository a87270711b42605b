import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A schema as a registry holds it. */
export interface Registered {
  readonly schema: string;
  readonly schemaType?: string;
  readonly references?: readonly { name: string; subject: string; version: number }[];
}

/** A schema registry over HTTP: `ids` by id, `subjects` by `subject/version`. Counts what it is asked. */
export async function startRegistry(
  ids: Readonly<Record<number, Registered>>,
  subjects: Readonly<Record<string, Registered>> = {},
) {
  const asked: string[] = [];
  let down = false;
  const server = createServer((request, response) => {
    asked.push(request.url!);
    const id = /^\/schemas\/ids\/(\d+)$/.exec(request.url!)?.[1];
    const version = /^\/subjects\/([^/]+)\/versions\/(\d+)$/.exec(request.url!);
    const found = id
      ? ids[Number(id)]
      : version && subjects[`${decodeURIComponent(version[1]!)}/${version[2]}`];
    response.statusCode = down ? 503 : found ? 200 : 404;
    response.setHeader('content-type', 'application/vnd.schemaregistry.v1+json');
    response.end(JSON.stringify(found ?? { error_code: 40403, message: 'Schema not found' }));
  });
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    setDown(is: boolean) {
      down = is;
    },
    stop: () => new Promise(done => server.close(done)),
  };
}

/** Bytes behind the registry's prefix; `indexes` name a Protobuf message. */
export function framed(id: number, payload: Uint8Array, indexes?: readonly number[]): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeInt32BE(id, 1);
  const zigzag = (n: number) => 2 * n; // below 64: one byte
  const path = indexes
    ? indexes.length === 1 && indexes[0] === 0
      ? [0]
      : [indexes.length, ...indexes].map(zigzag)
    : [];
  return Buffer.concat([prefix, Buffer.from(path), payload]);
}
