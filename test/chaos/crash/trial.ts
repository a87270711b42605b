import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPipeline, publishStep, refitStep } from '../../../jobs/index.js';
import { seeded } from '../../support/random.js';
import { betweenFaults, finalFaults, journalOf, sinkFaults, stateFaults } from './checks.js';
import { type Feeds, readFeeds } from './feeds.js';
import { type Meaning, meanings } from './journal.js';
import { fingerprint, lookAt } from './look.js';
import {
  type Blow,
  blowText,
  drawBlow,
  parseBlow,
  type Scenario,
  scenarios,
  type Usual,
} from './scenarios.js';
import { type Ended, lastWords, runVictim } from './victim.js';
import { copyWorld, makeWorld, optionsOf, total, type World } from './world.js';

/** Commands that only read. */
const readers = [['status'], ['models', 'list'], ['verify'], ['recommend', 'u5']];

/** A trial to make: everything in it follows from `seed` and `index`, except where a process is at a given time. */
export interface TrialOrder {
  readonly seed: number;
  readonly index: number;
  /** Blows in the place of those that are drawn. */
  readonly at?: readonly string[] | undefined;
}

/** What a trial found. */
export interface TrialResult {
  readonly kills: number;
  readonly checks: number;
  readonly scenario: string;
  readonly meaning: Meaning;
  /** Each blow with the file operation at which the process died, if that was the blow. */
  readonly deaths: readonly string[];
  readonly blows: readonly string[];
  /** What was expected and found, and when. */
  readonly faults: readonly string[];
}

/** Where trials are made. */
export interface Place {
  readonly root: string;
  readonly library: string;
  readonly redis: string | undefined;
}

const scenarioOf = (index: number): Scenario => scenarios[index % scenarios.length]!;
const meaningOf = (index: number): Meaning =>
  meanings[(2 + Math.floor(index / scenarios.length)) % meanings.length]!;

/** Makes trials, one after the other, over worlds that are made when they are first needed. */
export function createTrials(place: Place) {
  const worlds = new Map<string, World>();
  const usual = new Map<string, Usual>();

  async function worldOf(meaning: Meaning, seed: number): Promise<World> {
    const key = `${meaning} ${seed}`;
    const world = worlds.get(key) ?? (await makeWorld(place.root, meaning, seed, place.redis));
    worlds.set(key, world);
    return world;
  }

  /** Runs the scenario's command once in peace, to know how long it takes. */
  async function usualOf(scenario: Scenario, world: World): Promise<Usual> {
    const known = usual.get(scenario.name);
    if (known) return known;
    const directory = join(place.root, 'usual');
    await copyWorld(world, directory, place.redis, scenario.bare === true);
    const stopMs = scenario.endless ? 3500 : undefined;
    const ended = await runVictim({ ...place, directory, command: scenario.command, stopMs });
    if (ended.code !== 0)
      throw new Error(`${scenario.name} failed with nothing against it: ${lastWords(ended)}`);
    usual.set(scenario.name, ended);
    return ended;
  }

  return async function trial({ seed, index, at }: TrialOrder): Promise<TrialResult> {
    const scenario = scenarioOf(index);
    const meaning = meaningOf(index);
    const random = seeded(seed * 100_003 + index);
    const world = await worldOf(meaning, seed);
    const twice = random() < 0.25;
    const expected = await usualOf(scenario, world);
    const drawn = [drawBlow(random, scenario, expected), drawBlow(random, scenario, expected)];
    const blows = at?.map(parseBlow) ?? (twice ? drawn : drawn.slice(0, 1));
    const reader = random() < 0.35 ? readers[Math.floor(random() * readers.length)] : undefined;
    const one = openTrial(place, world, scenario, reader);
    try {
      await one.run(blows);
    } finally {
      rmSync(one.directory, { recursive: true, force: true });
    }
    return { scenario: scenario.name, meaning, blows: blows.map(blowText), ...one.result() };
  };
}

/** One trial: deaths, then the same command in peace, then everything to its end. */
function openTrial(place: Place, world: World, scenario: Scenario, reader: readonly string[] | undefined) {
  const { redis } = place;
  const bare = scenario.bare === true;
  const directory = join(place.root, 'trial');
  const options = optionsOf(world.meaning, redis);
  const before: Feeds = bare ? new Map() : world.feeds;
  const deaths: string[] = [];
  const faults: string[] = [];
  const dead: Feeds[] = [];
  let [kills, checks, endedInPeace] = [0, 0, false];

  const found = (when: string, what: readonly string[]): void => {
    for (const fault of what) faults.push(`${when}: ${fault}`);
  };

  /** Runs one check; that it can be made at all is part of it. */
  async function check(when: string, body: () => Promise<readonly string[]>): Promise<void> {
    checks++;
    try {
      found(when, await body());
    } catch (error) {
      found(when, [`expected a state and sinks that can be opened, found ${(error as Error).message}`]);
    }
  }

  /** Looks at a copy, so that who goes on meets what the dead one left. */
  async function autopsy(when: string): Promise<void> {
    const probe = join(place.root, 'probe');
    rmSync(probe, { recursive: true, force: true });
    cpSync(directory, probe, { recursive: true });
    if (reader) await check(`${when}, ${reader.join(' ')}`, () => readsOnly(place, probe, reader));
    await check(when, async () => {
      const feeds = await readFeeds(probe, redis);
      dead.push(feeds);
      const look = await lookAt(probe, options);
      return [
        ...stateFaults(look, world, scenario, endedInPeace),
        ...sinkFaults(feeds, look, bare ? undefined : world),
      ];
    });
  }

  async function strike(blow: Blow): Promise<void> {
    const stopMs = scenario.endless ? 5000 : undefined;
    const ended = await runVictim({ ...place, directory, command: scenario.command, blow, stopMs });
    const where = `${blowText(blow)}${ended.died ? ` (${ended.died})` : ''}`;
    if (ended.killed) {
      kills++;
      deaths.push(where);
    } else if (ended.code === 0) endedInPeace = true;
    else found(`before ${where}`, [`expected exit code 0 or death, found ${lastWords(ended)}`]);
    await autopsy(ended.killed ? `after the death at ${where}` : 'after it survived');
  }

  /** The same command in peace must go on by itself, at the latest when the lease of the dead one has run out. */
  async function recover(): Promise<void> {
    const command = scenario.again ?? scenario.command;
    const stopMs = scenario.endless ? 3500 : undefined;
    let ended: Ended;
    for (let tries = 0; ; tries++) {
      ended = await runVictim({ ...place, directory, command, stopMs });
      if (ended.code === 0 || tries >= 40 || !/\blease\b/.test(ended.errors)) break;
      await sleep(1000);
    }
    if (ended.code !== 0)
      found(`${command.join(' ')} again`, [`expected exit code 0, found ${lastWords(ended)}`]);
  }

  /** Checks what the command ought to have reached. */
  async function recovered(): Promise<void> {
    await check('once it went on', async () => {
      const feeds = await readFeeds(directory, redis);
      const look = await lookAt(directory, options);
      const wrong = [
        ...stateFaults(look, world, scenario, true),
        ...sinkFaults(feeds, look, bare ? undefined : world),
      ];
      if (!scenario.endless) for (const each of dead) wrong.push(...betweenFaults(before, each, feeds));
      const { name, forgets } = scenario;
      if (/ingest|first/.test(name) && look.position !== total - 1)
        wrong.push(`expected position ${total - 1}, found ${look.position}`);
      if (name === 'fold' && look.inbox > 0)
        wrong.push(`expected an empty inbox, found ${look.inbox} events`);
      if (name === 'compact' && look.segments > 1) wrong.push(`expected one segment, found ${look.segments}`);
      if (name === 'fit' && look.models <= world.models)
        wrong.push(`expected a new model, found ${look.models}`);
      if (name === 'publish')
        for (const [sink, { champion }] of feeds)
          if (champion === before.get(sink)?.champion)
            wrong.push(`${sink}: expected a new champion, found ${champion}`);
      // Files are read whole and take no single lists: they lose a user with the next publication.
      if (forgets)
        for (const [sink, { versions }] of feeds)
          if (sink !== 'files' && [...versions.values()].some(lists => lists.users.has(forgets)))
            wrong.push(`${sink}: expected no list of ${forgets}, found one`);
      return wrong;
    });
  }

  return {
    directory,
    result: () => ({ kills, checks, deaths, faults }),
    async run(blows: readonly Blow[]): Promise<void> {
      mkdirSync(place.root, { recursive: true });
      await copyWorld(world, directory, redis, bare);
      for (const blow of blows) await strike(blow);
      await recover();
      await recovered();
      await check('in the end', () => finish(directory, world, scenario, redis));
    },
  };
}

/** Runs a command that only reads; returns what it changed. */
async function readsOnly(place: Place, directory: string, command: readonly string[]): Promise<string[]> {
  const before = await fingerprint(directory);
  await runVictim({ ...place, directory, command });
  const after = await fingerprint(directory);
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter(name => before.get(name) !== after.get(name))
    .map(
      name =>
        `expected a reader to leave ${name} at ${before.get(name) ?? 'nothing'}, found ${after.get(name) ?? 'nothing'}`,
    );
}

/** Takes in the rest, fits and publishes, and compares everything with the rows. */
async function finish(
  directory: string,
  world: World,
  scenario: Scenario,
  redis: string | undefined,
): Promise<readonly string[]> {
  const options = optionsOf(world.meaning, redis);
  const pipeline = await createPipeline(options, { baseDirectory: directory });
  const wrong: string[] = [];
  let version: string;
  let items: readonly string[];
  const recommended = new Map<string, string>();
  try {
    await pipeline.ingest();
    await refitStep(pipeline, { trigger: 'end' });
    ({ version } = (await publishStep(pipeline, { trigger: 'end' }))!);
    items = await pipeline.parts.store.itemKeys();
    for (const user of ['u5', 'u6', 'u7'])
      recommended.set(user, (await pipeline.recommend(user, 5)).items.join(' '));
    const running = (await pipeline.parts.store.runs(1000)).filter(r => r.status === 'running');
    if (running.length > 0) wrong.push(`expected that no run goes on, found ${running.length}`);
  } finally {
    await pipeline.close();
  }
  const look = await lookAt(directory, options);
  const journal = journalOf(world, total - 1, scenario.bare, scenario.forgets);
  if (look.folded !== journal.length)
    wrong.push(`expected ${journal.length} folded events, found ${look.folded}`);
  const users = new Set([...look.matrix.keys()].map(key => key.split(' ')[0]!));
  const feeds = await readFeeds(directory, redis);
  for (const [user, list] of recommended) {
    const listed = feeds.get('files')!.versions.get(version)?.users.get(user) ?? '';
    if (listed !== list) wrong.push(`expected the list ${list} for ${user}, found ${listed}`);
  }
  return [
    ...wrong,
    ...stateFaults(look, world, scenario, true),
    ...sinkFaults(feeds, look, undefined),
    ...finalFaults(feeds, version, { users, items: new Set(items) }),
  ];
}
