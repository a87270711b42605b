import type { FieldOptions, Paths } from './options.js';
import { type Getter, type Given, isObject, type Path, parsePath } from './path.js';
import { Undecodable } from './undecodable.js';

/** How paths become getters: in decoded values, or in the fields of a flat reader. */
export type At = (path: Path) => Getter;

/** Every path of a place, as it is written. */
export function pathsIn(place: FieldOptions[keyof FieldOptions] | Paths): readonly string[] {
  if (place === undefined) return [];
  if (typeof place === 'string') return [place];
  if (Array.isArray(place)) return place;
  return 'from' in (place as object) ? pathsIn((place as { readonly from: Paths }).from) : [];
}

/** The first of some paths that has a value. */
export function firstOf(paths: Paths, at: At): Getter {
  const [first, ...others] = (typeof paths === 'string' ? [paths] : paths).map(p => at(parsePath(p)));
  if (others.length === 0) return first!;
  const all = [first!, ...others];
  return given => {
    for (let k = 0; k < all.length; k++) {
      const found = all[k]!(given);
      if (found !== undefined && found !== null && found !== '') return found;
    }
    return undefined;
  };
}

/** A place that is no table: paths, or a constant. */
export function getterAt(place: Paths | { readonly constant: unknown }, at: At): Getter {
  if (typeof place === 'string' || Array.isArray(place)) return firstOf(place, at);
  const { constant } = place as { readonly constant: unknown };
  return () => constant;
}

/** What a table says of a record. */
export interface Entry {
  readonly skip: boolean;
  readonly weight: number | undefined;
  readonly op: string | undefined;
}

/** Whether a place is a table. */
export const isTable = (place: unknown): place is Table => isObject(place) && 'map' in place;
type Table = Extract<FieldOptions['weight'] | FieldOptions['op'], { otherwise: unknown }>;

const entryOf = (value: string | number): Entry => ({
  skip: value === 'skip',
  weight: typeof value === 'number' ? value : undefined,
  op: typeof value === 'string' && value !== 'skip' ? value : undefined,
});

/**
 * A table of a field: what it says of a record.
 *
 * @throws Undecodable (when it is asked) for a value that it does not have, unless `otherwise` says what that stands for.
 */
export function tableAt(field: 'weight' | 'op', table: Table, at: At): (given: Given) => Entry {
  const get = firstOf(table.from, at);
  const entries = new Map<unknown, Entry>();
  for (const [value, entry] of Object.entries(table.map)) entries.set(value, entryOf(entry));
  const { otherwise } = table;
  const other = otherwise === 'reject' ? undefined : entryOf(otherwise);
  return given => {
    const value = get(given);
    // Numbers and truth values are found by their text.
    const entry = entries.get(typeof value === 'string' ? value : String(value)) ?? other;
    if (entry) return entry;
    const found = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value).slice(0, 40);
    throw new Undecodable(
      `${field}-unmapped`,
      `${field}: the table of ${pathsIn(table.from).join(', ')} has no ${found}; add it, or \`otherwise: skip\``,
    );
  };
}
