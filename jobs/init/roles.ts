import type { Sample, SampledColumn } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';

/** Fields of an event that columns can give. */
export type Field = 'user' | 'item' | 'weight' | 'op' | 'ts' | 'id';

/** Column of each field that one was found for. */
export type Roles = Readonly<Partial<Record<Field, SampledColumn>>> &
  Readonly<Record<'user' | 'item', SampledColumn>>;

/** Usual names of columns, the surest first; in lower case, without what is no letter. */
const usual: Readonly<Record<Field, readonly string[]>> = {
  user: 'user customer client visitor member account buyer reader uid session'.split(' '),
  item: 'item product sku stockcode article movie track song book isbn asin video content artist iid'.split(
    ' ',
  ),
  weight: 'weight rating stars score quantity qty plays'.split(' '),
  op: ['op', 'operation'],
  ts: 'ts timestamp eventtime occurredat createdat time datetime date soldat orderdate invoicedate purchasedate'.split(
    ' ',
  ),
  id: ['eventid', 'id', 'uuid'],
};

/** The last part of a path, as a plain word: `Customer ID`, `customer_id` and `meta.customerId` are `customerid`. */
const plain = (name: string): string =>
  name
    .split('.')
    .at(-1)!
    .toLowerCase()
    .replace(/[^a-z]/g, '');

/** How surely a column is of a field by its name: the lower, the surer. */
function rank(field: Field, name: string): number {
  const word = plain(name);
  const at = usual[field].findIndex(u => word === u || word === `${u}id` || word === `${u}key`);
  return at < 0 ? Number.POSITIVE_INFINITY : at;
}

/** Whether the values of a column can be of a field. */
function fits(field: Field, { type, unique, missing, smallest }: SampledColumn): boolean {
  if (missing === 1) return false;
  if (field === 'weight') return smallest !== undefined && smallest >= 0;
  // What is given as the id of an event counts once.
  if (field === 'id') return unique && missing === 0;
  if (field === 'ts') return /^(TIMESTAMP|DATE|.*INT|string|number)/.test(type);
  return !/^(TIMESTAMP|DATE|DOUBLE|FLOAT|BOOLEAN|boolean)/.test(type) || field === 'user';
}

/** What a query does to a column that has the name of a field and other values. */
const turned: Readonly<Partial<Record<Field, (name: string) => string>>> = {
  ts: name => `is no time that is known: strptime(${name}, '%d.%m.%Y %H:%M') AS ts in the query makes one`,
  weight: name =>
    `is no number from 0 on: say what it is worth in the query, such as greatest(${name}, 0) AS weight`,
};

/** A sentence for each column that has the name of a field of an event, and values that do not fit it. */
export function unfit({ columns }: Sample, roles: Roles): string[] {
  const free = columns.filter(c => !Object.values(roles).includes(c) && c.missing < 1);
  return (['ts', 'weight'] as const).flatMap(field => {
    const named = roles[field] ? undefined : free.find(c => Number.isFinite(rank(field, c.name)));
    if (!named) return [];
    const name = /^\w+$/.test(named.name) ? named.name : `"${named.name}"`;
    return `${named.name} (${named.type}, such as ${named.example}) is not read: it ${turned[field]!(name)}`;
  });
}

/** The types that columns of CSV are read as: ids are texts, and what the look at all rows found; times are found by each read. */
export const typesOf = (roles: Roles): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(roles).flatMap(([field, { name, type }]) => {
      if (/^(TIMESTAMP|DATE)/.test(type)) return [];
      const isText = ['user', 'item', 'id'].includes(field) && !/^(DOUBLE|FLOAT)/.test(type);
      return [[name, isText ? 'VARCHAR' : type]];
    }),
  );

/**
 * Finds the columns that events are made of, by their names and values. `given` names some of them.
 *
 * @throws StageError `USAGE` if there is no column for users or items, or none of a given name.
 */
export function rolesOf({ where, columns }: Sample, given: Readonly<Partial<Record<Field, string>>>): Roles {
  const all = columns.map(c => c.name).join(', ') || 'none';
  const roles: Partial<Record<Field, SampledColumn>> = {};
  for (const field of Object.keys(usual) as Field[]) {
    const wanted = given[field];
    const free = columns.filter(
      c => !Object.values(roles).includes(c) && !Object.values(given).includes(c.name),
    );
    const found =
      wanted === undefined
        ? free
            .filter(c => Number.isFinite(rank(field, c.name)) && fits(field, c))
            .sort((a, b) => rank(field, a.name) - rank(field, b.name))[0]
        : columns.find(c => c.name === wanted);
    if (!found && (wanted !== undefined || field === 'user' || field === 'item'))
      throw new StageError(
        'USAGE',
        `${where}: expected a column ${wanted ?? `for the ${field}`}, found ${all}`,
        {
          remedy: 'name the columns with --user COLUMN and --item COLUMN',
        },
      );
    if (found) roles[field] = found;
  }
  return roles as Roles;
}
