/** A sink for Postgres, as a module that a configuration names. */
import {
  createKeyedSink,
  createProbe,
  defineConnector,
  leaseSetting,
  sinkSettings,
} from 'sansa-stream/connector';
import { z } from 'zod';
import { Database } from './database.js';
import { PostgresLists } from './lists.js';

const options = z.strictObject({
  url: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'expected postgres://user@host:port/database')
    .describe('where the database is'),
  table: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,40}$/, 'expected a name of small letters, digits and "_"')
    .default('sansa')
    .describe('beginning of the names of its tables'),
  ...sinkSettings,
  ...leaseSetting(),
});

export default defineConnector({
  kind: 'sink',
  options,
  create({ url, table, ...limits }, { name }) {
    const { host } = new URL(url);
    const sink = createKeyedSink(
      {
        name,
        where: `Postgres ${host}, table ${table}`,
        options: { ...limits, prefix: table, encoding: 'json', mode: 'versions' },
      },
      () => new PostgresLists(url, table, limits.leaseMs),
    );
    const openProbe = () =>
      createProbe({
        open: async () => new Database(url),
        ask: database => database.query('SELECT 1'),
        close: database => database.close(),
      });
    return Object.assign(sink, { openProbe });
  },
});
