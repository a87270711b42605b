import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../../support/random.js';
import { betweenFaults, sinkFaults, stateFaults } from './checks.js';
import { copyFiles } from './copy.js';
import { type Feeds, readFeeds } from './feeds.js';
import { finish } from './finish.js';
import { type Meaning, meanings } from './journal.js';
import { fingerprint, type Look, lookAt } from './look.js';
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
import { copyWorld, makeWorld, optionsOf, sparingRedis, type World } from './world.js';

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
  /** Checks that commands which only read change nothing. */
  readonly reads: number;
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
    const expected = at ? { ms: 0, operations: 0 } : await usualOf(scenario, world);
    const drawn = [drawBlow(random, scenario, expected), drawBlow(random, scenario, expected)];
    const blows = at?.map(parseBlow) ?? (twice ? drawn : drawn.slice(0, 1));
    const reader = random() < 0.35 ? readers[Math.floor(random() * readers.length)] : undefined;
    const one = new Trial(place, world, scenario, reader);
    await one.run(blows);
    const { kills, checks, reads, deaths, faults } = one;
    return {
      scenario: scenario.name,
      meaning,
      blows: blows.map(blowText),
      kills,
      checks,
      reads,
      deaths,
      faults,
    };
  };
}

/** One trial: deaths, then the same command in peace, then everything to its end. */
class Trial {
  kills = 0;
  checks = 0;
  reads = 0;
  readonly deaths: string[] = [];
  readonly faults: string[] = [];
  readonly #place: Place;
  readonly #world: World;
  readonly #scenario: Scenario;
  readonly #reader: readonly string[] | undefined;
  readonly #directory: string;
  readonly #before: Feeds;
  /** The sinks after each death. */
  readonly #left: Feeds[] = [];
  /** Whether the command has come to its end. */
  #done = false;

  constructor(place: Place, world: World, scenario: Scenario, reader: readonly string[] | undefined) {
    this.#place = place;
    this.#world = world;
    this.#scenario = scenario;
    this.#reader = reader;
    this.#directory = join(place.root, 'trial');
    this.#before = scenario.bare ? new Map() : world.feeds;
  }

  async run(blows: readonly Blow[]): Promise<void> {
    const { redis } = this.#place;
    await copyWorld(this.#world, this.#directory, redis, this.#scenario.bare === true);
    for (const blow of blows) await this.#strike(blow);
    await this.#recover();
    await this.#check('once it went on', () => this.#recovered());
    await this.#check('in the end', () => finish(this.#directory, this.#world, this.#scenario, redis));
  }

  #found(when: string, what: readonly string[]): void {
    for (const fault of what) this.faults.push(`${when}: ${fault}`);
  }

  /** Runs one check; that it can be made at all is part of it. */
  async #check(when: string, body: () => Promise<readonly string[]>): Promise<void> {
    this.checks++;
    try {
      this.#found(when, await body());
    } catch (error) {
      const { message } = error as Error;
      this.#found(when, [`expected a state and sinks that can be opened, found ${message}`]);
    }
  }

  #runs(command: readonly string[], stopMs: number, blow?: Blow): Promise<Ended> {
    const { library } = this.#place;
    const stop = this.#scenario.endless ? { stopMs } : {};
    return runVictim({ library, directory: this.#directory, command, blow, ...stop });
  }

  async #strike(blow: Blow): Promise<void> {
    const ended = await this.#runs(this.#scenario.command, 5000, blow);
    const where = `${blowText(blow)}${ended.died ? ` (${ended.died})` : ''}`;
    if (ended.killed) {
      this.kills++;
      this.deaths.push(where);
    } else if (ended.code === 0) this.#done = true;
    else this.#found(`before ${where}`, [`expected exit code 0 or death, found ${lastWords(ended)}`]);
    const when = ended.killed ? `after the death at ${where}` : `after it survived ${where}`;
    await sparingRedis(this.#place.redis, () => this.#autopsy(when));
  }

  /** Looks at a copy, so that whoever goes on meets what the dead one left. */
  async #autopsy(when: string): Promise<void> {
    const { root, redis } = this.#place;
    const probe = join(root, 'probe');
    rmSync(probe, { recursive: true, force: true });
    copyFiles(this.#directory, probe);
    const reader = this.#reader;
    if (reader) {
      this.reads++;
      await this.#check(`${when}, ${reader.join(' ')}`, () => readsOnly(this.#place, probe, reader));
    }
    await this.#check(when, async () => {
      const left = await readFeeds(probe, redis);
      this.#left.push(left);
      if (!this.#scenario.forgets) return this.#faultsIn(probe, left, this.#done);
      // Whoever opens the state goes on with the erasure, so what the sinks say then is of what is in them then.
      const look = await lookAt(probe, optionsOf(this.#world.meaning, redis));
      return this.#faultsIn(probe, await readFeeds(probe, redis), this.#done, look);
    });
  }

  async #faultsIn(directory: string, feeds: Feeds, done: boolean, seen?: Look): Promise<string[]> {
    const world = this.#world;
    const look = seen ?? (await lookAt(directory, optionsOf(world.meaning, this.#place.redis)));
    const state = stateFaults(look, world, this.#scenario, done);
    return [...state, ...sinkFaults(feeds, look, this.#scenario.bare ? undefined : world)];
  }

  /** The same command in peace must go on by itself, at the latest when the lease of the dead one has run out. */
  async #recover(): Promise<void> {
    const command = this.#scenario.again ?? this.#scenario.command;
    let ended = await this.#runs(command, 3500);
    for (let tries = 0; tries < 40 && ended.code !== 0 && /\blease\b/.test(ended.errors); tries++) {
      await sleep(1000);
      ended = await this.#runs(command, 3500);
    }
    if (ended.code !== 0)
      this.#found(`${command.join(' ')} again`, [`expected exit code 0, found ${lastWords(ended)}`]);
  }

  /** What the command has not reached, and what was neither old nor new on the way. */
  async #recovered(): Promise<string[]> {
    const { redis } = this.#place;
    const feeds = await readFeeds(this.#directory, redis);
    const look = await lookAt(this.#directory, optionsOf(this.#world.meaning, redis));
    const { endless } = this.#scenario;
    return [
      ...(await this.#faultsIn(this.#directory, feeds, true, look)),
      ...(endless ? [] : this.#left.flatMap(left => betweenFaults(this.#before, left, feeds))),
      ...(this.#scenario.unreached?.(look, this.#world, feeds) ?? []),
    ];
  }
}

/** Runs a command that only reads; returns what it changed. */
async function readsOnly(
  { library }: Place,
  directory: string,
  command: readonly string[],
): Promise<string[]> {
  const before = await fingerprint(directory);
  await runVictim({ library, directory, command });
  const after = await fingerprint(directory);
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    n => before.get(n) !== after.get(n),
  );
  if (changed.length === 0) return [];
  const was = changed.map(name => `${name} at ${before.get(name) ?? 'nothing'}`);
  const is = changed.map(name => after.get(name) ?? 'nothing');
  return [`expected a reader to leave ${was.join(' and ')}, found ${is.join(' and ')}`];
}
