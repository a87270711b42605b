import type { ListKind } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import type { Rows } from '../matrix/rows.js';
import type { NumberedLists } from './encode.js';
import type { RuleOptions } from './rule-options.js';
import { truth } from './truth.js';

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
  /** One byte per item: 0 is never recommended. */
  readonly allowed: Uint8Array | undefined;
  /** Group of each item, −1 for none. A list has at most `most` items of a group. */
  readonly groups: Int32Array | undefined;
  readonly most: number;
  /** Items, the most popular first, that fill up lists of users. */
  readonly popular: Int32Array | undefined;
}

/** Where rules drop items after the scoring, lists are scored this many times longer. */
const longer = 4;

/** Visits the rows of the attributes that belong to an item of the model. */
type Each = (visit: (item: number, row: number) => void) => void;

/** A byte an item: 1 where an attribute is true. `CONFIG_INVALID` where it is no truth value. */
function markedItems(
  values: readonly unknown[],
  keys: readonly string[],
  each: Each,
  where: string,
): Uint8Array {
  const found = new Uint8Array(keys.length);
  each((item, row) => {
    const is = truth(values[row]);
    if (is === undefined)
      throw new StageError(
        'CONFIG_INVALID',
        `${where}: expected truth values (true, 1, yes, Y, …), found ${JSON.stringify(String(values[row]).slice(0, 40))} of item ${JSON.stringify(keys[item])}`,
      );
    if (is) found[item] = 1;
  });
  return found;
}

/** Says so if the attributes are those of no item of the model. */
function warnOfStrangers(
  items: readonly string[],
  keys: readonly string[],
  each: Each,
  warn: (message: string) => void,
) {
  let matched = 0;
  each(() => matched++);
  if (matched > 0 || keys.length === 0) return;
  const example =
    items.length > 0 ? `: it has ${JSON.stringify(keys[0])}, the query ${JSON.stringify(items[0])}` : '';
  warn(`publish.rules.attributes: none of the ${items.length} items of the query is in the model${example}`);
}

/**
 * Resolves the rules for the items `keys`. `CONFIG_INVALID` for an attribute that the query does not give, or one without
 * truth values where a rule wants them. `warn` is told of rules that have no effect.
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
  const each: Each = visit => {
    number ??= new Map(keys.map((key, i) => [key, i]));
    for (const [row, key] of attributes?.items.entries() ?? []) {
      const item = number.get(key);
      if (item !== undefined) visit(item, row);
    }
  };
  const marked = (name: string, rule: string): Uint8Array => {
    const found = markedItems(column(name, rule), keys, each, `publish.rules.${rule}: ${name}`);
    if (!found.includes(1)) warn(`publish.rules.${rule}: ${name} is true of no item of the model`);
    return found;
  };
  if (attributes) warnOfStrangers(attributes.items, keys, each, warn);
  let allowed = options.allow === undefined ? undefined : marked(options.allow, 'allow');
  if (options.deny !== undefined) {
    const denied = marked(options.deny, 'deny');
    const rest = allowed ?? new Uint8Array(keys.length).fill(1);
    allowed = rest.map((is, i) => (denied[i] === 1 ? 0 : is));
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

function groupsOf(values: readonly unknown[], n: number, each: Each): Int32Array {
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

/** Whether a rule drops items after the scoring. */
const drops = ({ groups, minimumScore }: Rules): boolean =>
  groups !== undefined || minimumScore !== undefined;

/** The length to score lists with, so that most of them keep k items after the rules. */
export const scoredLength = (rules: Rules, k: number, n: number): number =>
  drops(rules) ? Math.min(n, longer * k) : k;

/** The popular items that the scoring itself fills lists up with. None if `applyRules` must do that afterwards. */
export const filledByScoring = (rules: Rules, kind: ListKind): Int32Array | undefined =>
  kind === 'users' && !drops(rules) ? rules.popular : undefined;

/**
 * Applies the rules to longer lists and keeps at most k items of each. Fills them up with popular items that are allowed,
 * within the cap and not the user's own.
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
