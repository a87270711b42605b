import type * as Cel from '@marcbachmann/cel-js';
import { required } from '../runtime/require.js';
import { type Getter, type Given, isObject, type Path } from './path.js';
import { firstLine } from './undecodable.js';

/** What a condition is asked of. */
export type Holds = (given: Given) => boolean;

/** A condition in the Common Expression Language (https://cel.dev) over the parts of a record. */
export interface Condition {
  /** Whether it looks at elements of `each`. */
  readonly readsElement: boolean;
  /** Whether it looks at values without their envelope: of a row that is deleted, they need not be whole. */
  readonly readsValue: boolean;
  /** Whether it looks at keys. */
  readonly readsKey: boolean;
  /** What the paths of simple comparisons are, if it has nothing else; those it can be asked of a flat reader's fields. */
  readonly paths: readonly Path[] | undefined;
  /** Makes the condition over what `at` finds at a path; in decoded values for any, else for one with `paths`. */
  over(at: (path: Path) => Getter): Holds;
}

/** Names in a condition, and the parts of a record that they are. */
const names = ['value', 'each', 'key', 'headers', 'ce', 'envelope'] as const;

let environment: Cel.Environment | undefined;
/** The package is loaded when the first condition is: that takes a tenth of a command's start. */
function celEnvironment(): Cel.Environment {
  if (environment) return environment;
  const { Environment } = required('@marcbachmann/cel-js') as typeof Cel;
  environment = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false });
  for (const name of names) environment.registerVariable(name, 'dyn');
  return environment;
}

/** A node as a path: `value.type`, `each['sku.id']`. */
function pathOf(node: Cel.ASTNode): Path | undefined {
  if (node.op === 'id') {
    const root = names.find(name => name === node.args);
    return root && { root, segments: [] };
  }
  if (node.op !== '.' && node.op !== '[]') return undefined;
  const [of, at] = node.args;
  const name = typeof at === 'string' ? at : at.op === 'value' ? at.args : undefined;
  const path = pathOf(of);
  return path && typeof name === 'string' ? { ...path, segments: [...path.segments, name] } : undefined;
}

/** A literal that a value equals as it equals itself in a set; big integers and NULL do not. */
function literalOf(node: Cel.ASTNode): string | number | boolean | undefined {
  if (node.op !== 'value') return undefined;
  const x: unknown = typeof node.args === 'bigint' ? Number(node.args) : node.args;
  if (typeof x === 'number') return Number.isSafeInteger(x) ? x : undefined;
  return typeof x === 'string' || typeof x === 'boolean' ? x : undefined;
}

/** A condition of comparisons with literals, joined by && and ||. */
type Simple =
  | { readonly kind: 'in'; readonly path: Path; readonly values: ReadonlySet<unknown> }
  | { readonly kind: '&&' | '||'; readonly left: Simple; readonly right: Simple };

/**
 * The simple form of a condition, if it has one. Where CEL would fail (a field is missing) it is false, so the two say
 * the same of a condition that has no negation.
 */
function simpleOf(node: Cel.ASTNode): Simple | undefined {
  if (node.op === '&&' || node.op === '||') {
    const [left, right] = [simpleOf(node.args[0]), simpleOf(node.args[1])];
    return left && right && { kind: node.op, left, right };
  }
  if (node.op !== '==' && node.op !== 'in') return undefined;
  const [of, to] = node.args;
  const path = pathOf(of);
  if (!path || path.segments.length === 0 || path.root === 'headers') return undefined;
  const literals = node.op === '==' ? [to] : to.op === 'list' ? to.args : undefined;
  const values = literals?.map(literalOf);
  if (!values || values.includes(undefined)) return undefined;
  return { kind: 'in', path, values: new Set(values) };
}

const pathsOf = (simple: Simple): readonly Path[] =>
  simple.kind === 'in' ? [simple.path] : [...pathsOf(simple.left), ...pathsOf(simple.right)];

function holdsSimply(simple: Simple, at: (path: Path) => Getter): Holds {
  if (simple.kind === 'in') {
    const { values } = simple;
    const get = at(simple.path);
    if (values.size > 1) return given => values.has(get(given));
    const [value] = values;
    return given => get(given) === value;
  }
  const [left, right] = [holdsSimply(simple.left, at), holdsSimply(simple.right, at)];
  return simple.kind === '&&' ? given => left(given) && right(given) : given => left(given) || right(given);
}

/** The names that an expression has, in whatever depth. */
function namesIn(node: unknown, into = new Set<unknown>()): ReadonlySet<unknown> {
  if (Array.isArray(node)) for (const inner of node) namesIn(inner, into);
  else if (isObject(node)) {
    if (node.op === 'id') into.add(node.args);
    else namesIn(node.args, into);
  }
  return into;
}

/** Headers as text. */
const textsOf = (headers: Given['headers']): object =>
  Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, x]) => [name, Buffer.isBuffer(x) ? x.toString() : x]),
  );

/**
 * Parses and checks a condition.
 *
 * @throws Error for a text that is none, that does not give a truth value, or that names what there is not.
 */
export function parseCondition(text: string): Condition {
  const cel = celEnvironment();
  const parsed = cel.parse(text);
  const { valid, type, error } = parsed.check();
  if (!valid) throw new Error(firstLine(error));
  if (type !== 'bool' && type !== 'dyn') throw new Error(`expected a truth value, found ${String(type)}`);
  const simple = simpleOf(parsed.ast);
  const read = namesIn(parsed.ast);
  const readsHeaders = read.has('headers');
  const holds: Holds = ({ value, element: each, key, headers, attributes: ce, envelope }) => {
    try {
      return (
        parsed({ value, each, key, headers: readsHeaders ? textsOf(headers) : {}, ce, envelope }) === true
      );
    } catch {
      return false; // a field that it needs is missing, or of another type
    }
  };
  return {
    readsElement: read.has('each'),
    readsValue: read.has('value'),
    readsKey: read.has('key'),
    paths: simple && pathsOf(simple),
    over: at => (simple ? holdsSimply(simple, at) : holds),
  };
}
