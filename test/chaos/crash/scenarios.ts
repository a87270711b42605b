import { failpoints } from '../../../src/runtime/failpoint.js';
import type { Random } from '../../support/random.js';
import type { Feeds } from './feeds.js';
import { total } from './journal.js';
import type { Look } from './look.js';
import type { Strike } from './shim.js';
import type { World } from './world.js';

/** What dies: a command on a copy of a world. */
export interface Scenario {
  readonly name: string;
  readonly command: readonly string[];
  /** First parts of the named points that the command passes. */
  readonly points: readonly string[];
  /** Begins without a state and with empty sinks. */
  readonly bare?: true;
  /** Goes on until it is told to stop. */
  readonly endless?: true;
  /** The command that must succeed afterwards, where that is another one. */
  readonly again?: readonly string[];
  /** Whom the command erases. */
  readonly forgets?: string;
  /** What the command ought to have reached in the end, and has not. */
  readonly unreached?: (look: Look, world: World, feeds: Feeds) => string[];
}

/** The user that is forgotten. */
const user = 'u2';

const everywhere = ['ingest:', 'fold:', 'refit:', 'publish:'];

const upTo = ({ position }: Look): string[] =>
  position === total - 1 ? [] : [`expected position ${total - 1}, found ${position}`];

export const scenarios: readonly Scenario[] = [
  { name: 'ingest', command: ['ingest'], points: ['ingest:'], unreached: upTo },
  {
    name: 'fold',
    command: ['fold'],
    points: ['fold:'],
    unreached: ({ inbox }) => (inbox > 0 ? [`expected an empty inbox, found ${inbox} events`] : []),
  },
  { name: 'first', command: ['fold'], points: [], bare: true, again: ['ingest'], unreached: upTo },
  {
    name: 'publish',
    command: ['publish'],
    points: ['publish:'],
    unreached: (_, world, feeds) =>
      [...feeds].flatMap(([sink, { champion }]) =>
        champion === world.feeds.get(sink)?.champion
          ? [`${sink}: expected a new champion, found ${champion}`]
          : [],
      ),
  },
  { name: 'run', command: ['run'], points: everywhere, endless: true },
  {
    name: 'compact',
    command: ['compact'],
    points: ['compact:'],
    unreached: ({ segments }) => (segments > 1 ? [`expected one segment, found ${segments}`] : []),
  },
  { name: 'fresh', command: ['publish', '--fresh'], points: [] },
  {
    name: 'forget',
    command: ['forget', user],
    points: ['forget:'],
    forgets: user,
    unreached: (_look, _world, feeds) =>
      [...feeds].flatMap(([sink, { versions }]) =>
        [...versions.values()].some(lists => lists.users.has(user))
          ? [`${sink}: expected no list of ${user}, found one`]
          : [],
      ),
  },
  {
    name: 'fit',
    command: ['fit'],
    points: ['refit:'],
    unreached: ({ models }, world) =>
      models > world.models ? [] : [`expected a new model, found ${models} models`],
  },
  { name: 'first-ingest', command: ['ingest'], points: ['ingest:'], bare: true, unreached: upTo },
  { name: 'first-run', command: ['run'], points: everywhere, bare: true, endless: true },
];

/** What kills a process. */
export type Blow =
  | { readonly kind: 'point'; readonly point: string }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'operation'; readonly strike: Strike };

/** A blow as `--at` takes it: `fold:applied#2`, `850ms`, `torn@123`. */
export const blowText = (blow: Blow): string =>
  blow.kind === 'point'
    ? blow.point
    : blow.kind === 'time'
      ? `${blow.ms}ms`
      : `${blow.strike.how}@${blow.strike.at}`;

export function parseBlow(text: string): Blow {
  const operation = /^(before|after|torn)@(\d+)$/.exec(text);
  if (operation)
    return {
      kind: 'operation',
      strike: { how: operation[1] as Strike['how'], at: Number(operation[2]) },
    };
  const time = /^(\d+)ms$/.exec(text);
  if (time) return { kind: 'time', ms: Number(time[1]) };
  return { kind: 'point', point: text };
}

/** How long an undisturbed command takes and how many file operations it does. */
export interface Usual {
  readonly ms: number;
  readonly operations: number;
}

/** Draws a blow; always the same number of draws, so that those behind it do not depend on what was measured. */
export function drawBlow(random: Random, { points }: Scenario, usual: Usual): Blow {
  const [kind, where, how] = [random(), random(), random()];
  const known = failpoints.filter(name => points.some(point => name.startsWith(point)));
  if (kind < 0.2 && known.length > 0) {
    const nth = how < 0.6 ? '' : `#${how < 0.8 ? 2 : 3}`;
    return { kind: 'point', point: `${known[Math.floor(where * known.length)]}${nth}` };
  }
  if (kind < 0.4) return { kind: 'time', ms: Math.round(usual.ms * (0.3 + 0.7 * where)) };
  const at = 1 + Math.floor(where * usual.operations);
  if (kind < 0.7) return { kind: 'operation', strike: { how: 'torn', at } };
  return { kind: 'operation', strike: { how: how < 0.5 ? 'before' : 'after', at } };
}
