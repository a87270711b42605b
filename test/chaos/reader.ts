import { createClient } from '@redis/client';

/** Lists read at once for one look at the pointer. */
const atOnce = 20;

/** A reader as a web service is one: it reads the pointer and then lists, all the time, until it is stopped. */
export function readWhile({
  url,
  prefix,
  users,
  random,
}: {
  url: string;
  prefix: string;
  users: number;
  random: () => number;
}) {
  const client = createClient({ url });
  client.on('error', () => undefined);
  const failures: string[] = [];
  const seen = new Map<string, string>();
  let [reads, switches] = [0, 0];
  let newest: string | undefined;
  let last: string | undefined;
  let reading = true;

  async function look(): Promise<void> {
    const known = newest;
    const version = await client.get(`${prefix}:current`);
    if (version !== last) switches++;
    last = version ?? undefined;
    // A version that had been switched to before the pointer was asked for can only have been followed by newer ones.
    if (known !== undefined && !follows(version, known))
      failures.push(`the pointer named ${version} after ${known}`);
    const names = Array.from({ length: atOnce }, () => `u${Math.floor(users * random())}`);
    const lists = await Promise.all(names.map(name => client.get(`${prefix}:${version}:u:${name}`)));
    lists.forEach((list, k) => {
      reads++;
      const key = `${version} ${names[k]}`;
      if (list === null) failures.push(`${key}: no list`);
      else if ((seen.get(key) ?? list) !== list) failures.push(`${key}: two lists in one version`);
      else seen.set(key, list);
    });
  }

  const order = new Map<string, number>();
  const follows = (version: string | null, known: string): boolean =>
    version !== null && (order.get(version) ?? Number.POSITIVE_INFINITY) >= order.get(known)!;

  const done = (async () => {
    await client.connect();
    while (reading) await look();
    client.destroy();
  })();

  return {
    reads: () => reads,
    /** Says that a publication has ended, with its version pointed at. */
    published(version: string): void {
      order.set(version, order.size);
      newest = version;
    },
    async stop() {
      reading = false;
      await done;
      return { reads, switches, failures: failures.slice(0, 20) };
    },
  };
}
