import { StageError } from '../../src/errors.js';
import type { CursorBorder, PlaceBorder } from './border.js';
import type { Rules } from './judge.js';
import { type fingerprint, markOf, type TakenBefore } from './marks.js';
import type { Portions } from './portions.js';
import type { Field } from './project.js';
import type { PassesOver, Query } from './query.js';

/** Name of the source in errors, and rows that are taken at a time and at once. */
interface ResumeRoom {
  readonly where: string;
  readonly batchSize: number;
  readonly many: number;
}

/** Passes over the rows that were taken before. */
const passing =
  (before: TakenBefore, print: typeof fingerprint): PassesOver =>
  row =>
    before.passes(markOf(print(row)));

function notKnown(where: string, gone: readonly Field[], what: string): StageError {
  const fields = gone.join(', ');
  return new StageError(
    'SOURCE_UNREADABLE',
    `${where}: the query no longer gives ${fields}, by which ${what}`,
    { remedy: `let the query give ${fields} again, or start a new state` },
  );
}

/** Knows the rows at the border without fields that are gone, where all there are were taken: nothing tells others apart. */
async function knowAgain(
  query: Query,
  border: CursorBorder,
  gone: readonly Field[],
  { where, batchSize }: ResumeRoom,
): Promise<void> {
  const { cursor, taken } = border.token!;
  const found = await query.countIn({ from: cursor, to: cursor });
  if (found !== taken) {
    const counts = `${taken} of them were taken, ${found} are there now`;
    throw notKnown(where, gone, `rows with ${query.cursor!.name} = ${cursor} are known: ${counts}`);
  }
  border.forget();
  await query.select({ from: cursor, to: cursor }, 0);
  for (let rows = await query.take(batchSize); rows.count > 0; rows = await query.take(batchSize))
    border.advance(rows);
}

/**
 * Begins the rows of a query behind a border at a cursor; returns what passes over the rows of that cursor that were
 * taken, if they come first. `SOURCE_UNREADABLE` when nothing tells those from others.
 */
export async function resumeAtCursor(
  query: Query,
  border: CursorBorder,
  portions: Portions,
  rules: Rules | undefined,
  room: ResumeRoom,
): Promise<PassesOver | undefined> {
  const from = border.token?.cursor;
  const gone = border.over(query.columns);
  if (gone.length > 0) await knowAgain(query, border, gone, room);
  const before = border.takenBefore();
  if (before.size === 0) {
    await portions.begin(query, { from }, border.offset, rules);
    return undefined;
  }
  await portions.begin(query, { from, to: from }, 0, undefined);
  return passing(before, border.print);
}

/**
 * Begins the rows of a query without a cursor behind the `taken` ones; returns what passes over those, if the query begins
 * anew because rows came in front of the border. `SOURCE_UNREADABLE` when it is not known which rows those are.
 */
export async function resumeAtPlace(
  query: Query,
  border: PlaceBorder,
  taken: number,
  rules: Rules | undefined,
  { where, many }: ResumeRoom,
): Promise<PassesOver | undefined> {
  const gone = border.over(query.columns);
  if (gone.length > 0 && border.checks > 0) throw notKnown(where, gone, 'rows that were taken are known');
  await query.select({}, taken - border.checks, rules);
  // To mark rows takes longer than to read them: where many more lie ahead than can be marked, none are.
  if (query.ahead - border.checks > many) border.forget();
  if (border.checks === 0) return undefined;
  const again = await query.take(border.checks);
  // Fewer rows than were taken: they are warned of, there is nothing to read.
  if (border.isWhere(again)) return undefined;
  const before = border.takenBefore();
  if (before) {
    await query.select({}, 0);
    return passing(before, border.print);
  }
  if (again.count < border.checks) return undefined;
  throw new StageError(
    'SOURCE_UNREADABLE',
    `${where}: the rows before row ${taken} are not those that were taken: rows came or went in front of them; give the query a cursor, or an order that only grows, and start a new state`,
  );
}
