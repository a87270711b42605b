import { StageError } from '../../src/errors.js';
import type { Query } from './query.js';
import type { DuckdbSourceOptions } from './source-options.js';

/** Types of cursors that a number, or a time, is taken from. */
const numberType = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)$/;
const timeType = /^(DATE|TIMESTAMP.*)$/;

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
  const fits = typeof lookBack === 'number' ? numberType : timeType;
  if (!fits.test(type)) {
    const expected = typeof lookBack === 'number' ? 'a duration such as 1h' : 'a number';
    throw wrong(
      numberType.test(type) || timeType.test(type)
        ? `expected ${expected} for the cursor ${cursor}, whose type is ${type}, found ${lookBack}`
        : `expected a cursor that is a number or a time, found ${cursor} of the type ${type}`,
    );
  }
  if (!query.columns.includes('id'))
    throw wrong(
      'expected the query to give an `id` of each event, by which what is read again is known, found none',
    );
}
