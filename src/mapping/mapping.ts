import { changedAt, openChange, operationReader, payloadOf, refuseDelete } from './changes.js';
import { type Condition, type Holds, parseCondition } from './condition.js';
import type { MappingOptions, Paths } from './options.js';
import { type Given, getterOf, isObject, type Path, parsePath } from './path.js';
import { type At, firstOf, getterAt, isTable, pathsIn, tableAt } from './place.js';
import { fieldsOf } from './presets.js';
import { Undecodable } from './undecodable.js';

/** Takes what a record becomes. */
export interface Taken {
  event(user: unknown, item: unknown, weight: unknown, op: unknown, ts: unknown, id: unknown): void;
  /** The record, or an element of it, is no event, and shall be none: by the condition or table of this name. */
  skip(reason: string): void;
}

/** Makes events of a record. Throws `Undecodable` for one that should be an event and is not; then what it took is void. */
export type MapRecord = (given: Given, taken: Taken) => void;

/** A compiled mapping. */
export interface Mapping {
  readonly map: MapRecord;
  /** Whether it reads keys. */
  readonly readsKey: boolean;
  /**
   * For records whose fields all lie at the top of the value: their names, and the mapping of what is found under them, in
   * their order. There is none where something else is read.
   */
  readonly flat: { readonly names: readonly string[]; readonly map: MapRecord } | undefined;
}

/** What a mapping does with the values that it has found. */
export interface Reading {
  /** The time of a record that has none in its value. */
  readonly time: (timestamp: Given['timestamp']) => unknown;
  /** What an operation stands for. */
  readonly operation?: ((op: unknown) => unknown) | undefined;
  /** Whether empty values, which Protobuf cannot tell from absent ones, are none. */
  readonly noDefaults?: boolean | undefined;
}

interface Named extends Condition {
  readonly name: string;
}

const conditionsOf = (where: MappingOptions['where']): readonly Named[] =>
  Object.entries(typeof where === 'string' ? { where } : (where ?? {})).map(([name, text]) => ({
    name,
    ...parseCondition(text),
  }));

/** The path of a field that stands beside the one at `path`; at the top where that is no path into the value. */
const siblingOf = (path: string | undefined, name: string): Path => {
  const { root, segments } = parsePath(path ?? name);
  return { root: 'value', segments: root === 'value' ? [...segments.slice(0, -1), name] : [name] };
};

const blank = (x: unknown): unknown => (x === '' || x === '0' || x === 0 ? undefined : x);
const itself = (x: unknown): unknown => x;

/** Whether a place lies in the elements of `each`. */
const inElement = (place: Parameters<typeof pathsIn>[0]): boolean =>
  pathsIn(place).some(p => parsePath(p).root === 'each');

/** How the fields of an event are read, over what `at` finds. Without `op`, the change of a row says what it does. */
function readers(options: MappingOptions, reading: Reading, at: At) {
  const fields = fieldsOf(options);
  const rows = options.envelope === 'debezium';
  const given = reading.noDefaults ? blank : itself;
  const { user, item, weight, op, ts, id } = fields;
  const opName = typeof op === 'string' ? parsePath(op).segments.at(-1) : undefined;
  const operation = operationReader(opName ?? '') ?? reading.operation ?? itself;
  const [beside] = pathsIn(user);
  const readOp = isTable(op) || (rows && options.fields.op === undefined) ? undefined : getterAt(op, at);
  const readTs = rows && options.fields.ts === undefined ? changedAt : getterAt(ts, at);
  const readId = firstOf(id, at);
  return {
    user: getterAt(user, at),
    item: getterAt(item, at),
    weight: isTable(weight) ? undefined : getterAt(weight, at),
    weights: isTable(weight) ? tableAt('weight', weight, at) : undefined,
    op: readOp && ((g: Given) => given(operation(readOp(g)))),
    ops: isTable(op) ? tableAt('op', op, at) : undefined,
    ts: (g: Given) => given(readTs(g)) ?? reading.time(g.timestamp),
    id: (g: Given) => given(readId(g)),
    /** Elements of `each` have ids of their own, or the record's with their index. */
    ownIds: inElement(id),
    deleted: at(siblingOf(beside, '__deleted')),
    change: at(siblingOf(beside, '__op')),
  };
}
type Readers = ReturnType<typeof readers>;

/** What is asked of a record or an element before it is an event. */
interface Asked {
  readonly name: string;
  readonly holds: Holds;
}

type MakeEvent = (given: Given, taken: Taken, suffix: string) => void;

/** Makes one event, whose id gets `suffix`. */
function eventMaker(read: Readers, asked: readonly Asked[]): MakeEvent {
  const { weights, ops } = read;
  return (given, taken, suffix) => {
    for (const { name, holds } of asked) if (!holds(given)) return taken.skip(name);
    let weight: unknown;
    let op: unknown;
    if (weights) {
      const entry = weights(given);
      if (entry.skip) return taken.skip('weight');
      ({ weight, op } = entry);
    } else weight = read.weight!(given);
    if (op !== undefined) {
      // The table of weights has said it.
    } else if (ops) {
      const entry = ops(given);
      if (entry.skip) return taken.skip('op');
      ({ op } = entry);
    } else if (read.op) {
      op = read.op(given);
      refuseDelete(read.deleted(given), read.change(given), op);
    } else {
      op = 'set';
      if (given.change === 'd') weight = 0;
    }
    const id = read.id(given);
    const own = suffix !== '' && id !== undefined && id !== null ? `${String(id)}${suffix}` : id;
    taken.event(read.user(given), read.item(given), weight, op, read.ts(given), own);
  };
}

/** Makes an event of each element of the arrays at `paths`; anything else there is an element. */
function elementMaker(paths: Paths, read: Readers, at: At, one: MakeEvent, early: Early): MapRecord {
  const elements = firstOf(paths, at);
  return (given, taken) => {
    const skipped = early(given);
    if (skipped !== undefined) return taken.skip(skipped);
    const found = elements(given);
    if (found === undefined || found === null)
      throw new Undecodable(
        'each-missing',
        `each: expected an array at ${[paths].flat().join(', ')}, found none`,
      );
    given.element = found;
    if (!Array.isArray(found)) return one(given, taken, '');
    if (found.length === 0) return taken.skip('each');
    for (let k = 0; k < found.length; k++) {
      given.element = found[k];
      one(given, taken, read.ownIds ? '' : `#${k}`);
    }
  };
}

/** Why a record is skipped, whatever its elements are. */
type Early = (given: Given) => string | undefined;

/** The tables that do not look at elements: a record without an array may be one that they skip. */
function earlyTables(options: MappingOptions, { weights, ops }: Readers): Early {
  const { weight, op } = fieldsOf(options);
  const [w, o] = [inElement(weight) ? undefined : weights, inElement(op) ? undefined : ops];
  return given => {
    const entry = w?.(given);
    if (entry?.skip) return 'weight';
    return !entry?.op && o?.(given).skip ? 'op' : undefined;
  };
}

/**
 * Changes of a table whose rows are pairs of a user and an item. `failed` says which condition a row does not meet: an
 * update takes such a row out, and a deletion is not asked. The pair that a row was before, and is no more, is set to nothing.
 */
function rowMaker(read: Readers, failed: Early, one: MapRecord): MapRecord {
  const leave = (given: Given, taken: Taken, user: unknown, item: unknown): void => {
    const id = read.id(given);
    taken.event(user, item, 0, 'set', read.ts(given), id === undefined ? id : `${String(id)}#before`);
  };
  return (given, taken) => {
    const { value: after, envelope, change } = given;
    const reason = change === 'd' ? undefined : failed(given);
    if (change === 'u') {
      const [user, item] = [read.user(given), read.item(given)];
      given.value = (isObject(envelope) && envelope.before) ?? after;
      const [oldUser = user, oldItem = item] = [read.user(given), read.item(given)];
      if (reason !== undefined || oldUser !== user || oldItem !== item) leave(given, taken, oldUser, oldItem);
      given.value = after;
    } else if (reason !== undefined) taken.skip(reason);
    if (reason === undefined) one(given, taken);
  };
}

/** The mapping of records whose envelope is open, with paths found by `at`. */
function compile(options: MappingOptions, reading: Reading, conditions: readonly Named[], at: At): MapRecord {
  const { each } = fieldsOf(options);
  const read = readers(options, reading, at);
  const ask = (all: readonly Named[]): readonly Asked[] =>
    all.map(c => ({ name: c.name, holds: c.over(at) }));
  const one = eventMaker(read, ask(conditions.filter(c => c.readsElement)));
  const events: MapRecord = each
    ? elementMaker(each, read, at, one, earlyTables(options, read))
    : (given, taken) => one(given, taken, '');
  const whole = conditions.filter(c => !c.readsElement);
  if (read.op || read.ops || each) return asking(ask(whole), events);
  const ofRows = ask(whole.filter(c => c.readsValue));
  const failed: Early = given => ofRows.find(({ holds }) => !holds(given))?.name;
  return asking(ask(whole.filter(c => !c.readsValue)), rowMaker(read, failed, events));
}

/** Asks the conditions, and skips by the name of the first that does not hold. */
function asking(asked: readonly Asked[], map: MapRecord): MapRecord {
  if (asked.length === 0) return map;
  return (given, taken) => {
    for (const { name, holds } of asked) if (!holds(given)) return taken.skip(name);
    map(given, taken);
  };
}

/** Opens the envelope of a value; returns why there is nothing in it. */
function openerOf({ envelope }: MappingOptions): (given: Given) => string | undefined {
  if (envelope === 'debezium') return openChange;
  return given => {
    given.envelope = given.value;
    if (envelope !== 'connect') return undefined;
    given.value = payloadOf(given.value);
    return given.value === null ? 'tombstone' : undefined;
  };
}

/** Every path and condition of a mapping, as far as they are known without a record. */
function pathsOf(options: MappingOptions, conditions: readonly Named[]): readonly Path[] {
  const { each, ...fields } = fieldsOf(options);
  const written = [...Object.values(fields), each].flatMap(pathsIn).map(parsePath);
  return [...written, ...conditions.flatMap(c => c.paths ?? [])];
}

/** The mapping of flat records, if it needs nothing else. */
function compileFlat(
  options: MappingOptions,
  reading: Reading,
  conditions: readonly Named[],
): Mapping['flat'] {
  const flat = ({ root, segments }: Path): boolean =>
    root === 'value' ? segments.length === 1 : root === 'timestamp';
  const wrapped = ['debezium', 'connect', 'cloudevents'].includes(options.envelope ?? 'none');
  if (wrapped || fieldsOf(options).each || conditions.some(c => !c.paths)) return undefined;
  if (!pathsOf(options, conditions).every(flat)) return undefined;
  const names: string[] = [];
  const at: At = path => {
    if (path.root === 'timestamp') return getterOf(path);
    const name = path.segments[0]!;
    const known = names.indexOf(name);
    const place = known < 0 ? names.push(name) - 1 : known;
    return ({ value }) => (value as readonly unknown[])[place];
  };
  return { map: compile(options, reading, conditions, at), names };
}

/**
 * Compiles how records become events. The configuration has been checked; see `mappingOptions`.
 *
 * The mapping opens the envelope, asks the conditions, and makes an event of the record or of each element of `each`.
 */
export function compileMapping(options: MappingOptions, reading: Reading): Mapping {
  const conditions = conditionsOf(options.where);
  const map = compile(options, reading, conditions, getterOf);
  const open = openerOf(options);
  const paths = pathsOf(options, conditions);
  return {
    flat: compileFlat(options, reading, conditions),
    readsKey: paths.some(p => p.root === 'key') || conditions.some(c => c.readsKey),
    map(given, taken) {
      const nothing = open(given);
      if (nothing !== undefined) return taken.skip(nothing);
      const { value } = given;
      if (isObject(value)) return map(given, taken);
      throw new Undecodable(
        'value-type',
        `value: expected fields, found ${value === null ? 'null' : typeof value}`,
      );
    },
  };
}
