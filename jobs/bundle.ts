/**
 * Bundles the built command line into a few files in `dist/cli`, so that a command starts without reading hundreds.
 * Threads and the library load the single modules beside them. Packages stay outside, but for those that commands
 * start with: their code is copied, and so are their licences.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { configSchema, configSchemaFile } from './schema.js';

const dist = resolve(import.meta.dirname, '..');
const root = resolve(dist, '..');
const outdir = join(dist, 'cli');
const inside = ['zod', 'pino', 'yaml', '@duckdb/node-api'];

/** Places in the module's words: the URL of a module, and packages that it loads when they are needed. */
const modules: Plugin = {
  name: 'modules',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]dist[\\/](src|connectors|jobs)[\\/].*\.js$/ }, ({ path }) => {
      const place = JSON.stringify(`../${relative(dist, path).replaceAll('\\', '/')}`);
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`)
        .replace("import { z } from 'zod'", "import * as z from 'zod'") // leaves out what nobody uses of it
        .replaceAll("required('", "require('");
      return { contents };
    });
  },
};

rmSync(outdir, { recursive: true, force: true });
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [join(dist, 'jobs/cli.js')],
  outdir,
  bundle: true,
  splitting: true,
  minifyWhitespace: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: Object.keys(dependencies).filter(name => !inside.includes(name)),
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  plugins: [modules],
  metafile: true,
});

const packages = new Set(
  Object.keys(metafile.inputs).flatMap(input => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? []),
);
const licences = [...packages].sort().map(name => {
  const folder = join(root, 'node_modules', name);
  const file = readdirSync(folder).find(entry => /^licen[cs]e/i.test(entry));
  if (!file)
    throw new Error(`${name}: expected a licence in ${folder}, found none; leave the package outside`);
  return `${name}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
writeFileSync(join(outdir, 'LICENCES'), licences.join(`\n${'-'.repeat(80)}\n\n`));
writeFileSync(configSchemaFile, `${JSON.stringify(configSchema(), undefined, 1)}\n`);
