import type { ListKind } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import type { Rows } from '../matrix/rows.js';
import type { NumberedLists } from './encode.js';
import type { RuleOptions } from './rule-options.js';

/** Attributes of items as a query gave them. */
export interface ItemAttributes {
  readonly items: readonly string[];
  /** By the name of the column. */
  readonly columns: Readonly<Record<string, readonly unknown[]>>;
}

/** The rules over the items of a model, as plain data. */
export interface Rules {
  readonly keepOwn: boolean;
  readonly minimumScore: number | undefined;
  /** A byte an item: 0 is never recommended. */
  readonly allowed: Uint8Array | undefined;
  /** Group of each item, −1 for none, and the most that a list has of one. */
  readonly groups: Int32Array | undefined;
  readonly most: number;
  /** Items, the most popular first, that fill up lists of users. */
  readonly popular: Int32Array | undefined;
}

/** Lists this much longer are made where rules drop items behind the scoring. */
const longer = 4;

/** Texts that databases and files have for true and false. */
const truths = new Set(['true', 't', 'yes', 'y', 'on', '1']);
const falsehoods = new Set(['false', 'f', 'no', 'n', 'off', '0', '']);

/** A truth value as databases have it: BOOLEAN, a number, BIT or a word; `undefined` for anything else. */
function truth(x: unknown): boolean | undefined {
  if (x === null || x === undefined) return false;
  if (typeof x === 'boolean') return x;
  if (typeof x === 'number' || typeof x === 'bigint') return Number(x) !== 0;
  if (x instanceof Uint8Array) return x.some(byte => byte !== 0);
  const text = String(x)
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .toLowerCase();
  if (text === 'null' || falsehoods.has(text)) return false;
  if (truths.has(text)) return true;
  return /^[01]+$/.test(text) ? text.includes('1') : undefined;
}

/**
 * Turns the rules into numbers of the items `keys`. `CONFIG_INVALID` for an attribute that the query does not give, or
 * one that holds no truth values where a rule wants them. `warn` hears of rules that have no effect.
 */
export function rulesOf(
  options: RuleOptions,
  keys: readonly string[],
  attributes: ItemAttributes | undefined,
  popular: Int32Array | undefined,
  warn: (message: string) => void = () => {},
): Rules {
  const column = (name: string, rule: string): readonly unknown[] => {
    const found = attributes?.columns[name];
    if (found) return found;
    const known = Object.keys(attributes?.columns ?? {}).join(', ') || 'none';
    throw new StageError(
      'CONFIG_INVALID',
      `publish.rules.${rule}: expected an attribute that publish.rules.attributes gives, found ${JSON.stringify(name)} and ${known}`,
    );
  };
  let number: ReadonlyMap<string, number> | undefined;
  const each = (visit: (item: number, row: number) => void): void => {
    number ??= new Map(keys.map((key, i) => [key, i]));
    for (const [row, key] of attributes?.items.entries() ?? []) {
      const item = number.get(key);
      if (item !== undefined) visit(item, row);
    }
  };
  const marked = (name: string, rule: string): Uint8Array => {
    const values = column(name, rule);
    const found = new Uint8Array(keys.length);
    each((item, row) => {
      const is = truth(values[row]);
      if (is === undefined)
        throw new StageError(
          'CONFIG_INVALID',
          `publish.rules.${rule}: expected truth values (true, 1, yes, Y, …) in ${name}, found ${JSON.stringify(String(values[row]).slice(0, 40))} of item ${JSON.stringify(keys[item])}`,
        );
      if (is) found[item] = 1;
    });
    if (!found.includes(1)) warn(`publish.rules.${rule}: ${name} is true of no item of the model`);
    return found;
  };
  if (attributes && keys.length > 0) {
    let matched = 0;
    each(() => matched++);
    const some = attributes.items[0];
    if (matched === 0)
      warn(
        `publish.rules.attributes: none of the ${attributes.items.length} items of the query is in the model${some === undefined ? '' : `, which has ${JSON.stringify(keys[0])}, the query ${JSON.stringify(some)}`}`,
      );
  }
  let allowed = options.allow === undefined ? undefined : marked(options.allow, 'allow');
  if (options.deny !== undefined) {
    const denied = marked(options.deny, 'deny');
    allowed ??= new Uint8Array(keys.length).fill(1);
    for (let i = 0; i < denied.length; i++) if (denied[i] === 1) allowed[i] = 0;
  }
  return {
    keepOwn: !options.excludeSeen,
    minimumScore: options.minimumScore,
    allowed,
    groups: options.cap && groupsOf(column(options.cap.attribute, 'cap'), keys.length, each),
    most: options.cap?.most ?? 0,
    popular,
  };
}

function groupsOf(
  values: readonly unknown[],
  n: number,
  each: (visit: (item: number, row: number) => void) => void,
): Int32Array {
  const groups = new Int32Array(n).fill(-1);
  const number = new Map<string, number>();
  each((item, row) => {
    const value = values[row];
    if (value === null || value === undefined) return;
    const name = String(value);
    if (!number.has(name)) number.set(name, number.size);
    groups[item] = number.get(name)!;
  });
  return groups;
}

/** Whether some rule drops items behind the scoring. */
const drops = ({ groups, minimumScore }: Rules): boolean =>
  groups !== undefined || minimumScore !== undefined;

/** How long lists are to be scored so that k items are left of most of them. */
export const scoredLength = (rules: Rules, k: number, n: number): number =>
  drops(rules) ? Math.min(n, longer * k) : k;

/** The popular items that the scoring itself fills up with: none where that has to wait for `applyRules`. */
export const filledByScoring = (rules: Rules, kind: ListKind): Int32Array | undefined =>
  kind === 'users' && !drops(rules) ? rules.popular : undefined;

/**
 * What the rules leave of longer lists, k items at most; then fills up with popular items that are allowed, not the
 * user's own and within the cap.
 */
export function applyRules(
  rules: Rules,
  lists: NumberedLists,
  rows: Rows,
  kind: ListKind,
  k: number,
): NumberedLists {
  if (!drops(rules)) return lists;
  const m = lists.lengths.length;
  const kept = {
    k,
    lengths: new Int32Array(m),
    items: new Int32Array(m * k),
    scores: new Float32Array(m * k),
    fallbacks: new Int32Array(m),
  };
  const { groups, most, minimumScore = -Infinity, allowed } = rules;
  const popular = kind === 'users' ? rules.popular : undefined;
  for (let r = 0; r < m; r++) {
    const have = new Map<number, number>();
    let length = 0;
    const take = (item: number, score: number): boolean => {
      const group = groups?.[item] ?? -1;
      const before = have.get(group) ?? 0;
      if (group >= 0 && before >= most) return false;
      have.set(group, before + 1);
      kept.items[r * k + length] = item;
      kept.scores[r * k + length++] = score;
      return true;
    };
    for (let e = r * lists.k; e < r * lists.k + lists.lengths[r]! && length < k; e++)
      if (lists.scores[e]! >= minimumScore) take(lists.items[e]!, lists.scores[e]!);
    if (popular && length < k) {
      const out = new Set(rows.indices.subarray(rows.indptr[r]!, rows.indptr[r + 1]!));
      for (let e = r * k; e < r * k + length; e++) out.add(kept.items[e]!);
      for (let p = 0; p < popular.length && length < k; p++) {
        const item = popular[p]!;
        if (!out.has(item) && (allowed === undefined || allowed[item] !== 0) && take(item, 0))
          kept.fallbacks[r]!++;
      }
    }
    kept.lengths[r] = length;
  }
  return kept;
}
