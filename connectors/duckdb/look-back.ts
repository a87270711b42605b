import { StageError } from '../../src/errors.js';
import { isNumber, moment } from './project.js';
import type { Query } from './query.js';
import type { DuckdbSourceOptions } from './source-options.js';

/** `CONFIG_INVALID` where `lookBack` cannot be taken from the query's cursor, or nothing tells what is read again. */
export function assertLooksBack(
  where: string,
  { lookBack, cursor }: Pick<DuckdbSourceOptions, 'lookBack' | 'cursor'>,
  query: Query,
): void {
  if (lookBack === undefined) return;
  const wrong = (what: string): StageError => new StageError('CONFIG_INVALID', `${where}: lookBack: ${what}`);
  if (cursor === undefined) throw wrong('expected a cursor, which rows may come late for, found none');
  const { type } = query.cursor!;
  const isTime = moment.test(type);
  if (!isTime && !isNumber(type))
    throw wrong(`expected a cursor that is a number or a time, found ${cursor} of the type ${type}`);
  if (isTime !== (typeof lookBack === 'string')) {
    const expected = isTime ? 'a duration such as 1h' : 'a number';
    throw wrong(`expected ${expected} for the cursor ${cursor}, whose type is ${type}, found ${lookBack}`);
  }
  if (!query.columns.includes('id'))
    throw wrong(
      'expected the query to give an `id` of each event, by which what is read again is known, found none',
    );
}
