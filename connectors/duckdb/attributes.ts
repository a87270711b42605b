import { resolve } from 'node:path';
import { StageError } from '../../src/errors.js';
import type { RuleOptions } from '../../src/publish/rule-options.js';
import type { ItemAttributes } from '../../src/publish/rules.js';
import { identifier } from '../../src/stages/identifier.js';
import { all, openDatabase, reason, releaseResults } from './database.js';
import { project, reader, subquery } from './project.js';
import { searchFrom } from './search-path.js';
import { attachWarehouse } from './warehouse.js';

/** Runs the query for attributes of items: a column `item`, read as ids of events are, and others. `SOURCE_UNREADABLE` if it fails. */
export async function readAttributes(
  { database, query }: NonNullable<RuleOptions['attributes']>,
  baseDirectory = '.',
): Promise<ItemAttributes> {
  const failed = (what: string, cause?: unknown) =>
    new StageError('SOURCE_UNREADABLE', `publish.rules.attributes: ${what}`, { cause });
  const instance = database === undefined ? await openDatabase(':memory:') : undefined;
  const warehouse =
    database === undefined ? undefined : await attachWarehouse(resolve(baseDirectory, database), 'read');
  const connection = warehouse?.connection ?? (await instance!.connect());
  let unlink = () => {};
  try {
    if (!warehouse) unlink = await searchFrom(connection, baseDirectory);
    const described = await all(connection, `DESCRIBE SELECT item FROM ${subquery(query)}`);
    const type = String(described[0]?.column_type);
    const result = await connection.runAndReadAll(
      `SELECT ${project('item', 'item', type)} AS item, * EXCLUDE (item) FROM ${subquery(query)} WHERE item IS NOT NULL`,
    );
    const [items = [], ...values] = result.getColumnsJS();
    const names = result.columnNames().slice(1);
    const read = reader('item', type);
    return {
      // What is no id is no item of the model either.
      items: items.map(x => {
        const id = identifier(read ? read(x) : x, 'item');
        return typeof id === 'string' ? id : '';
      }),
      columns: Object.fromEntries(names.map((name, c) => [name, values[c]!])),
    };
  } catch (error) {
    throw failed(reason(error), error);
  } finally {
    if (warehouse) await warehouse.release();
    else {
      connection.closeSync();
      instance!.closeSync();
      await releaseResults();
      unlink();
    }
  }
}
