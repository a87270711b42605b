import { type HoldoutOptions, holdoutOptions } from '../../src/evaluate/options.js';
import type { Values } from '../command.js';
import { checked } from '../config.js';

const names = Object.keys(holdoutOptions.shape) as (keyof HoldoutOptions)[];

/** One flag for each option of a holdout. */
export const holdoutFlags = Object.fromEntries(names.map(name => [name, { type: 'string' as const }]));

/** What each flag does. */
export const holdoutHelp: Readonly<Record<string, string>> = Object.fromEntries(
  names.map(name => [name, holdoutOptions.shape[name].description ?? '']),
);

/** The options of a holdout that the flags give. */
export function optionsOfHoldout(values: Values, defaults: Partial<HoldoutOptions> = {}): HoldoutOptions {
  const given = names.filter(name => values[name] !== undefined);
  const read = given.map(name => {
    const text = String(values[name]);
    const isText = name === 'holdout' || name === 'cut';
    return [name, isText || Number.isNaN(Number(text)) ? text : Number(text)] as const;
  });
  return checked(holdoutOptions, { ...defaults, ...Object.fromEntries(read) }, 'options');
}
