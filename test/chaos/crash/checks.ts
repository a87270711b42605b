import type { Feed, Feeds, Lists } from './feeds.js';
import { Journal } from './journal.js';
import type { Look } from './look.js';
import type { Scenario } from './scenarios.js';
import type { World } from './world.js';

/** The first difference of two maps, if there is one, and how many there are. */
function difference<V>(
  expected: ReadonlyMap<string, V>,
  found: ReadonlyMap<string, V>,
  what: string,
): string[] {
  const keys = new Set([...expected.keys(), ...found.keys()]);
  const wrong = [...keys].filter(key => expected.get(key) !== found.get(key));
  if (wrong.length === 0) return [];
  const [key] = wrong;
  const of = (map: ReadonlyMap<string, V>): string => String(map.get(key!) ?? 'nothing');
  return [
    `${wrong.length} of ${keys.size} ${what}: for ${key}, expected ${of(expected)}, found ${of(found)}`,
  ];
}

/** The journal of a look; with `forgotten`, a user was erased before anything else happened. */
export function journalOf(world: World, position: number, bare = false, forgotten?: string): Journal {
  const at = bare ? -1 : world.position;
  const journal = new Journal(world.meaning).take(world.rows.filter(r => r.n <= at));
  if (forgotten) journal.forget(forgotten, world.folded);
  return journal.take(world.rows.filter(r => r.n > at && r.n <= position));
}

function againstJournal(look: Look, journal: Journal): string[] {
  const wrong = difference(journal.matrix(look.folded), look.matrix, 'interactions');
  const known = look.folded + look.inbox;
  if (known !== journal.length)
    wrong.push(
      `expected ${journal.length} events up to position ${look.position}, found ${look.folded} folded and ${look.inbox} that wait`,
    );
  if (look.dead.join() !== journal.dead.join())
    wrong.push(`expected dead letters at ${journal.dead.join()}, found ${look.dead.join()}`);
  return wrong;
}

/** What is wrong with a state: it must be as one that nothing happened to, at some moment between two steps. */
export function stateFaults(look: Look, world: World, { bare, forgets }: Scenario, done: boolean): string[] {
  const faults = look.faults.map(fault => `expected a sound state, found ${fault}`);
  const { position, folded, models } = bare ? { position: -1, folded: 0, models: 0 } : world;
  if (look.position < position) faults.push(`expected position ${position}, found ${look.position}`);
  if (look.folded < folded) faults.push(`expected ${folded} folded events, found ${look.folded}`);
  if (look.models < models) faults.push(`expected ${models} models, found ${look.models}`);
  const ways = forgets === undefined ? [undefined] : done ? [forgets] : [undefined, forgets];
  const each = ways.map(way => againstJournal(look, journalOf(world, look.position, bare, way)));
  return [...faults, ...(each.some(wrong => wrong.length === 0) ? [] : each[0]!)];
}

/** Lists of a version that hold items; more than these were written where some are empty. */
const sizeOf = (feed: Feed, version: string, kind: 'users' | 'items'): number =>
  feed.versions.get(version)?.[kind].size ?? 0;

/** What is wrong with sinks, whatever was published: pointers at what is not whole, and counts that are not so. */
export function sinkFaults(feeds: Feeds, { says }: Look, world: World | undefined): string[] {
  const faults: string[] = [];
  for (const [name, feed] of feeds) {
    const said = says.get(name);
    const before = world?.feeds.get(name)?.champion;
    const { champion } = feed;
    if (champion === undefined && before !== undefined)
      faults.push(`${name}: expected a champion, found none`);
    const complete = (said?.versions ?? []).filter(v => v.complete);
    if (champion !== undefined && !complete.some(v => v.version === champion))
      faults.push(`${name}: expected a complete version, found champion ${champion}, which is not`);
    if (said?.champion !== champion)
      faults.push(`${name}: expected the champion ${champion}, found ${said?.champion}`);
    for (const { version, lists } of complete) {
      const empty = Math.max(...[...feeds.values()].map(f => f.empty.get(version) ?? 0));
      for (const kind of ['users', 'items'] as const) {
        const found = sizeOf(feed, version, kind);
        const mine = name === 'duckdb' ? 0 : (feed.empty.get(version) ?? 0);
        if (found > lists[kind] || found < lists[kind] - Math.max(empty, mine))
          faults.push(
            `${name}: expected ${lists[kind]} lists of ${kind} in ${version}${version === champion ? ', the champion' : ''}, found ${found}`,
          );
      }
    }
  }
  return faults;
}

const none = { users: new Map<string, string>(), items: new Map<string, string>() };

/** Lists under one version that are neither those of before nor those of after. */
export function betweenFaults(before: Feeds, found: Feeds, after: Feeds): string[] {
  const faults: string[] = [];
  for (const [name, feed] of found) {
    const version = feed.champion;
    if (version === undefined) continue;
    const lists = (feeds: Feeds) => feeds.get(name)?.versions.get(version);
    const [old, now, next] = [lists(before), lists(found) ?? none, lists(after)];
    for (const kind of ['users', 'items'] as const) {
      const first: Lists = old?.[kind] ?? next?.[kind] ?? now[kind];
      const last: Lists = next?.[kind] ?? first;
      const wrong = [...new Set([...first.keys(), ...last.keys(), ...now[kind].keys()])].filter(id => {
        const value = now[kind].get(id);
        return value !== first.get(id) && value !== last.get(id);
      });
      if (wrong.length > 0)
        faults.push(
          `${name}: expected in ${version} the lists of before or after, found ${wrong.length} others of ${kind}, such as ${wrong[0]}: ${now[kind].get(wrong[0]!) ?? 'nothing'}`,
        );
    }
  }
  return faults;
}

/** What is wrong with sinks after a publication in peace: one version, the same in all, for everybody, and nothing else. */
export function finalFaults(
  feeds: Feeds,
  version: string,
  expected: Record<'users' | 'items', ReadonlySet<string>>,
): string[] {
  const faults: string[] = [];
  const model = feeds.get('files')!.versions.get(version);
  for (const [name, { champion, versions, empty, rest }] of feeds) {
    if (champion !== version) faults.push(`${name}: expected the champion ${version}, found ${champion}`);
    const others = [...versions.keys()].filter(v => v !== version);
    if (others.length > 0)
      faults.push(`${name}: expected only ${version}, found lists of ${others.join(', ')}`);
    if (rest.length > 0) faults.push(`${name}: expected nothing left behind, found ${rest.join(', ')}`);
    for (const kind of ['users', 'items'] as const) {
      const lists = versions.get(version)?.[kind] ?? new Map();
      faults.push(
        ...difference<string>(model?.[kind] ?? new Map(), lists, `lists of ${kind} in ${name} beside files`),
      );
      const strange = [...lists.keys()].filter(id => !expected[kind].has(id));
      const missing = [...expected[kind]].filter(id => !lists.has(id));
      if (strange.length > 0)
        faults.push(`${name}: expected no list of ${kind} for ${strange.join(', ')}, found one`);
      if (missing.length > (empty.get(version) ?? 0) && name !== 'duckdb')
        faults.push(`${name}: expected a list of ${kind} for ${missing.join(', ')}, found none`);
    }
  }
  return faults;
}
