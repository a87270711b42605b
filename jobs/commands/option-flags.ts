import { z } from 'zod';
import { checked } from '../checked.js';
import type { Values } from '../command.js';

/** Options whose values are text, whatever they look like. */
const textOptions = ['holdout', 'cut', 'metric'];

/** One flag for each option of a schema. */
export const flagsOf = (schema: z.ZodObject) =>
  Object.fromEntries(Object.keys(schema.shape).map(name => [name, { type: 'string' as const }]));

/** The default of an option as its schema has it; nothing for an option without one. */
export function defaultOf(option: z.core.$ZodType): string | undefined {
  const value = z.safeParse(option, undefined).data;
  return value === undefined ? undefined : String(value);
}

/** Help of each flag, with its default. */
export const helpOf = ({ shape }: z.ZodObject): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(shape).map(([name, option]) => {
      const fallback = defaultOf(option);
      return [name, `${option.description ?? ''}${fallback === undefined ? '' : `; default ${fallback}`}`];
    }),
  );

/** The options of a schema that the flags give, unchecked. */
export function givenOptions({ shape }: z.ZodObject, values: Values): Record<string, unknown> {
  const given = Object.keys(shape).filter(name => values[name] !== undefined);
  const read = given.map(name => {
    const text = String(values[name]);
    const isText = textOptions.includes(name) || Number.isNaN(Number(text));
    return [name, isText ? text : Number(text)];
  });
  return Object.fromEntries(read);
}

/** The options that the flags give, over `defaults`. */
export const optionsOf = <S extends z.ZodObject>(
  schema: S,
  values: Values,
  defaults: Readonly<Record<string, unknown>> = {},
): z.output<S> => checked(schema, { ...defaults, ...givenOptions(schema, values) }, 'options');
