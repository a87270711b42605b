/** Change-data capture: what Debezium writes into `__op`. */
const changes: Readonly<Record<string, string>> = { c: 'add', r: 'add', u: 'set', d: 'remove' };
const truths: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [true, 'remove'],
  ['true', 'remove'],
  [false, 'add'],
  ['false', 'add'],
]);

/**
 * How the field that `op` names says what an event does: itself; by a truth value, where it is called `__deleted` or
 * `deleted`; by c, r, u and d, where it is called `__op`. `undefined`: as it is.
 */
export function operationReader(path: string): ((op: unknown) => unknown) | undefined {
  const name = path.split('.').at(-1)!;
  if (/(^|_)deleted$/.test(name)) return op => truths.get(op) ?? op;
  if (name === '__op') return op => (typeof op === 'string' && Object.hasOwn(changes, op) ? changes[op] : op);
  return undefined;
}

/** Whether a flattened record of change-data capture is that of a deleted row. */
export const marksDelete = (deleted: unknown, op: unknown): boolean =>
  op === 'd' || deleted === true || (typeof deleted === 'string' && deleted.toLowerCase() === 'true');
