import { z } from 'zod';
import { operations } from '../stages/events.js';
import { parseCondition } from './condition.js';
import { parsePath } from './path.js';
import { firstLine } from './undecodable.js';

/** Adds what `parse` says of a text to its issues. */
const parsedBy =
  (parse: (text: string) => unknown) =>
  (text: string, context: z.RefinementCtx): void => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: firstLine(error) });
    }
  };

const path = z.string().min(1).superRefine(parsedBy(parsePath));
const paths = z
  .union([path, z.array(path).min(1)])
  .describe('a path such as a.b, a[0] or a["x.y"]; of several, the first that has a value counts');
const constant = z.strictObject({ constant: z.union([z.string().min(1), z.number()]) });
const place = z.union([paths, constant]);

const operation = z.enum(operations);
const outcomes = ['skip', 'reject'] as const;
const tableOf = <T extends z.ZodType>(value: T) => {
  const entry = z.union([z.enum([...operations, 'skip']), value]);
  return z.strictObject({
    from: paths.describe('where the value lies that the table is asked for'),
    map: z.record(z.string(), entry).describe('by value: what it stands for, or skip'),
    otherwise: z
      .union([z.enum([...outcomes, ...operations]), value])
      .default('reject')
      .describe('what every other value stands for; skip, or reject: a dead letter'),
  });
};

/** Where the fields of an event are found. */
export const fieldOptions = z.strictObject({
  user: place.optional().describe('default `user`'),
  item: place.optional().describe('default `item`'),
  weight: z
    .union([paths, z.strictObject({ constant: z.number() }), tableOf(z.number().min(0))])
    .optional()
    .describe('default `weight`; in a table, an operation stands for itself'),
  op: z
    .union([paths, z.strictObject({ constant: operation }), tableOf(operation)])
    .optional()
    .describe('default `op`'),
  ts: place
    .optional()
    .describe("default `ts`, with CloudEvents `$ce.time`; the record's time where it is absent"),
  id: paths.optional().describe('default `id`, with CloudEvents their source and id together'),
});

const condition = z.string().min(1).superRefine(parsedBy(parseCondition));

/** How the records of a source become events. */
export const mappingOptions = {
  envelope: z
    .enum(['debezium', 'connect', 'cloudevents', 'segment', 'snowplow'])
    .optional()
    .describe('what values are wrapped in, or whose events they are; sets where fields are found'),
  fields: fieldOptions.prefault({}),
  where: z
    .union([condition, z.record(z.string().regex(/^[\w-]{1,64}$/, 'expected a name'), condition)])
    .optional()
    .describe('condition in CEL, or several by name; other records are skipped, and counted by its name'),
  each: paths
    .optional()
    .describe('path of an array: each of its elements, which paths call $each, is an event'),
};
const mappingSchema = z.strictObject(mappingOptions);
export type MappingOptions = z.output<typeof mappingSchema>;
export type FieldOptions = z.output<typeof fieldOptions>;
export type Paths = z.output<typeof paths>;
