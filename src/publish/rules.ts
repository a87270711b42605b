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

/** Resolves the rules for the items `keys`. `CONFIG_INVALID` for an attribute that the query does not give. */
export function rulesOf(
  options: RuleOptions,
  keys: readonly string[],
  attributes: ItemAttributes | undefined,
  popular: Int32Array | undefined,
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
  let allowed: Uint8Array | undefined;
  if (options.allow !== undefined) {
    const values = column(options.allow, 'allow');
    const only = new Uint8Array(keys.length);
    each((item, row) => {
      if (values[row] === true) only[item] = 1;
    });
    allowed = only;
  }
  if (options.deny !== undefined) {
    const values = column(options.deny, 'deny');
    const rest = allowed ?? new Uint8Array(keys.length).fill(1);
    each((item, row) => {
      if (values[row] === true) rest[item] = 0;
    });
    allowed = rest;
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
