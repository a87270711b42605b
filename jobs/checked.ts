import { z } from 'zod';
import { StageError } from '../src/errors.js';
import { shownPath } from './config-file.js';
import { nearest } from './nearest.js';
import { withoutSecrets } from './secrets.js';

/** `text` as the number or the boolean that a schema expects, if it reads as one. */
function reread(text: string, expected: string): number | boolean | undefined {
  if (expected === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  const number = text.trim() === '' ? Number.NaN : Number(text);
  return ['number', 'int'].includes(expected) && Number.isFinite(number) ? number : undefined;
}

/**
 * Turns the text of a variable into a number or a boolean where the schema expects one. It stays text elsewhere: a
 * directory may be called 2024. Changes `input`; returns true if anything was changed.
 */
function rereadVariables(
  input: unknown,
  issues: readonly z.core.$ZodIssue[],
  replaced: ReadonlySet<string>,
  place: readonly PropertyKey[],
) {
  let changed = false;
  for (const issue of issues) {
    if (issue.code !== 'invalid_type' || !replaced.has(shownPath([...place, ...issue.path]))) continue;
    const value = reread(String(at(input, issue.path)), issue.expected);
    if (value === undefined) continue;
    const parent = at(input, issue.path.slice(0, -1)) as Record<PropertyKey, unknown>;
    parent[issue.path.at(-1)!] = value;
    changed = true;
  }
  return changed;
}

function at(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path)
    value =
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  return value;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(withoutSecrets(value));
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** The object schema that takes the value at `path`, through defaults, arrays and unions told apart by a key. */
function objectAt(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
  input: unknown,
): z.ZodObject | undefined {
  const def: object = schema._zod.def;
  const inside = (next: unknown) => objectAt(next as z.core.$ZodType, path, input);
  if (schema instanceof z.ZodObject) {
    const [key, ...rest] = path;
    if (key === undefined) return schema;
    const next = schema.shape[String(key)];
    return next && objectAt(next, rest, at(input, [key]));
  }
  if (schema instanceof z.ZodArray)
    return objectAt(schema.element, path.slice(1), at(input, path.slice(0, 1)));
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const key = schema.def.discriminator;
    const options = schema.options as readonly z.ZodObject[];
    return inside(options.find(o => o.shape[key]?.safeParse(at(input, [key])).success) ?? options[0]);
  }
  if (schema instanceof z.ZodPipe)
    return inside(schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in);
  return 'innerType' in def ? inside(def.innerType) : undefined;
}

/** Of the mistakes in each of several forms the one that lies deepest, if it is within the setting: that form was meant. */
function deepest(forms: readonly (readonly z.core.$ZodIssue[])[]): z.core.$ZodIssue | undefined {
  const within = forms.flat().filter(({ path }) => path.length > 0);
  return within.reduce<z.core.$ZodIssue | undefined>(
    (best, issue) => (best && best.path.length >= issue.path.length ? best : issue),
    undefined,
  );
}

/** One line for each mistake: the path, what is accepted, what was found. */
function describeIssue(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  input: unknown,
  place: readonly PropertyKey[],
): string {
  const whole = [...place, ...issue.path];
  const path = shownPath(whole);
  const value = withoutSecrets(at(input, issue.path), whole.at(-2) === 'map' ? '' : String(whole.at(-1)));
  const found = `found ${shown(value)}`;
  switch (issue.code) {
    case 'unrecognized_keys': {
      const accepted = Object.keys(objectAt(schema, issue.path, input)?.shape ?? {}).join(', ');
      return `${path}: expected ${accepted === '' ? 'nothing of this name' : `only ${accepted}`}, found ${issue.keys.map(k => JSON.stringify(k)).join(', ')}`;
    }
    case 'invalid_value':
      return `${path}: expected one of ${issue.values.map(shown).join(', ')}, ${found}`;
    case 'invalid_type':
      return `${path}: expected ${kinds[issue.expected] ?? issue.expected}, ${found}`;
    case 'custom':
      return `${path}: ${issue.message}${issue.message.includes('found') ? '' : `, ${found}`}`;
    case 'invalid_union': {
      const nearer = deepest(issue.errors);
      if (nearer) return describeIssue(nearer, schema, at(input, issue.path), [...place, ...issue.path]);
      const words = issue.errors.flat().flatMap(e => (e.code === 'invalid_value' ? e.values : []));
      const options = 'options' in issue && Array.isArray(issue.options) ? issue.options : words;
      return `${path}: expected one of ${[...new Set(options)].map(shown).join(', ')}, ${found}`;
    }
    default:
      return `${path}: ${issue.message.replace(/^Too (small|big): /, '').replace(/^Invalid input: /, '')}, ${found}`;
  }
}

/** The settings that were probably meant by unknown ones. */
function meantBy(issue: z.core.$ZodIssue, schema: z.ZodType, input: unknown): string[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const accepted = Object.keys(objectAt(schema, issue.path, input)?.shape ?? {});
  return issue.keys.flatMap(key => nearest(key, accepted) ?? []);
}

/** Plain names of the types of a schema. */
const kinds: Readonly<Record<string, string>> = {
  object: 'settings (key: value)',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

/**
 * Validates settings against a schema; `CONFIG_INVALID` lists every mistake, one a line. `replaced` are the
 * paths whose text came from variables; paths are told from `place`, where `input` stands.
 */
export function checked<S extends z.ZodType>(
  schema: S,
  input: unknown,
  where: string,
  replaced: ReadonlySet<string> = new Set(),
  place: readonly PropertyKey[] = [],
): z.output<S> {
  let result = schema.safeParse(input, { reportInput: true });
  if (!result.success && rereadVariables(input, result.error.issues, replaced, place))
    result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  const { issues } = result.error;
  const lines = issues.map(issue => `${where}: ${describeIssue(issue, schema, input, place)}`);
  const meant = issues.flatMap(issue => meantBy(issue, schema, input));
  const remedy = meant.length > 0 && { remedy: `did you mean ${[...new Set(meant)].join(', ')}?` };
  throw new StageError('CONFIG_INVALID', lines.join('\n'), remedy || {});
}
