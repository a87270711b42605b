import { lacksMemory, StageError } from '../../src/errors.js';
import type { RuleOptions } from '../../src/publish/rule-options.js';
import type { ItemAttributes } from '../../src/publish/rules.js';
import { identifier } from '../../src/stages/identifier.js';
import { all, reason } from './database.js';
import { project, reader, subquery } from './project.js';
import { ampleRoom, doesNotFit } from './room.js';
import { openWarehouse } from './warehouse.js';

/** Runs the query for attributes of items: a column `item`, read as ids of events are, and others. `SOURCE_UNREADABLE` if it fails. */
export async function readAttributes(
  { database, query }: NonNullable<RuleOptions['attributes']>,
  baseDirectory = '.',
  room = ampleRoom,
): Promise<ItemAttributes> {
  const failed = (what: string, cause?: unknown) =>
    new StageError('SOURCE_UNREADABLE', `publish.rules.attributes: ${what}`, { cause });
  const { connection, release } = await openWarehouse(database, { mode: 'read', room, baseDirectory });
  try {
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
    if (lacksMemory(error)) throw doesNotFit('publish.rules.attributes', room, error, 'select fewer columns');
    throw failed(reason(error), error);
  } finally {
    await release();
  }
}
