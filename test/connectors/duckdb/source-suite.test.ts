import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDuckdbSource } from '#connectors/duckdb/source.js';
import { duckdbSourceOptions } from '#connectors/duckdb/source-options.js';
import { runSql } from '../../support/duckdb.js';
import { sourceSuite } from '../../support/source-suite.js';

const columns = '"user" VARCHAR, item VARCHAR, ts BIGINT, id VARCHAR, place BIGINT';

for (const cursor of ['place', undefined])
  sourceSuite(`duckdb ${cursor ? 'with a cursor' : 'by place'}`, async directory => {
    const database = join(directory, 'warehouse.duckdb');
    const batch = join(directory, 'batch.ndjson');
    await runSql(database, `CREATE TABLE events (${columns})`);
    let sent = 0;
    return {
      async send(events) {
        writeFileSync(batch, events.map(e => JSON.stringify({ ...e, place: sent++ })).join('\n'));
        const types = columns.replaceAll(' ', ": '").replaceAll(",: '", "', ");
        await runSql(database, `INSERT INTO events FROM read_json('${batch}', columns = {${types}'})`);
      },
      makeSource: () =>
        createDuckdbSource(
          duckdbSourceOptions.parse({
            type: 'duckdb',
            database,
            query: 'FROM events ORDER BY place',
            cursor,
            batchSize: 7,
          }),
        ),
    };
  });
