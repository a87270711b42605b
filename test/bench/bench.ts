import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readArguments } from '../support/arguments.js';
import { sayingLacks } from '../support/lacks.js';
import { benchCatalogue } from './catalogue.js';
import { benchDefaults } from './defaults.js';
import { benchDense } from './dense.js';
import { type BenchOptions, environment, root, writeResult } from './environment.js';
import { benchExact } from './exact.js';
import { benchFit } from './fit.js';
import { benchFold } from './fold.js';
import { benchFsai } from './fsai.js';
import { benchGramian } from './gramian.js';
import { benchIngest } from './ingest.js';
import { benchKafka } from './kafka.js';
import { benchKernels } from './kernels.js';
import { benchMemory } from './memory.js';
import { benchOperate } from './operate.js';
import { benchPublish } from './publish.js';
import { benchScale } from './scale.js';
import { benchSolvers } from './solvers.js';
import { optional, quoted, type Results, withFigures } from './table.js';
import { benchWarehouse } from './warehouse.js';

const benches: Readonly<Record<string, (options: BenchOptions) => Promise<object>>> = {
  kernels: benchKernels,
  fit: benchFit,
  fsai: benchFsai,
  dense: benchDense,
  exact: benchExact,
  defaults: benchDefaults,
  solvers: benchSolvers,
  scale: benchScale,
  gramian: benchGramian,
  ingest: benchIngest,
  fold: benchFold,
  kafka: benchKafka,
  memory: benchMemory,
  operate: benchOperate,
  publish: benchPublish,
  warehouse: benchWarehouse,
  catalogue: benchCatalogue,
};

/** Puts the written results into the manual, once there is one of each. */
function refreshReadme(): void {
  const pathOf = (name: string) => join(root, `test/bench/results/${name}.json`);
  if (!quoted.every(name => existsSync(pathOf(name)))) return;
  const names = [...quoted, ...optional].filter(name => existsSync(pathOf(name)));
  const results = Object.fromEntries(
    names.map(name => [name, JSON.parse(readFileSync(pathOf(name), 'utf8'))]),
  );
  const readme = join(root, 'test/bench/README.md');
  writeFileSync(readme, withFigures(readFileSync(readme, 'utf8'), results as unknown as Results));
}

const usage = `usage: npm run -s bench -- ${Object.keys(benches).join('|')}
         [--json] [--data DIR] [--runs N] [--sink KIND] [--users N] [--rows N,…] [--items N,…] [--k N]`;
const { values, positionals } = readArguments(usage, {
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    data: { type: 'string' },
    runs: { type: 'string' },
    sink: { type: 'string' },
    users: { type: 'string' },
    rows: { type: 'string' },
    k: { type: 'string' },
    items: { type: 'string' },
  },
});
const bench = benches[positionals[0] ?? ''];
if (!bench) {
  process.stderr.write(`${usage}
`);
  process.exit(2);
}
await sayingLacks(async () => {
  const measured = await bench({
    data: resolve(values.data ?? process.env.SANSA_DATA ?? resolve(root, '../shared/data')),
    runs: Number(values.runs ?? 3),
    log: line => process.stderr.write(`${line}\n`),
    sink: values.sink,
    users: values.users === undefined ? undefined : Number(values.users),
    rows: values.rows?.split(',').map(Number),
    items: values.items?.split(',').map(Number),
    k: values.k === undefined ? undefined : Number(values.k),
  });
  const result = { bench: positionals[0], environment: environment(), ...measured };
  const variant = [positionals[0], values.sink, values.users].filter(part => part !== undefined).join('-');
  writeResult(`${variant}.json`, `${JSON.stringify(result, null, 2)}\n`);
  refreshReadme();
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`);
});
