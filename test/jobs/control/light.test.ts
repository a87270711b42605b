/** A command to a running stage loads no package and no compute: that is most of its time. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../../..');

/** Modules that a file of dist imports when it is loaded; not those that it imports later. */
const importsOf = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/^(?:(?:import|export)\b[^;'"]*?\bfrom|import) '([^']+)'/gms)].map(
    m => m[1]!,
  );

/** Everything that is loaded with the files: own modules by their path, packages by their name. */
function loadedWith(files: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (file: string): void => {
    const name = relative(root, file);
    if (found.has(name)) return;
    found.add(name);
    for (const target of importsOf(file)) {
      if (target.startsWith('.')) visit(resolve(dirname(file), target));
      else if (!target.startsWith('node:')) found.add(target);
    }
  };
  for (const file of files) visit(file);
  return found;
}

it.each(['reads', 'status', 'history', 'sql', 'models', 'jobs', 'forget'])(
  'commands/%s loads little',
  name => {
    const entries = ['cli', 'main', `commands/${name}`].map(file => join(root, `dist/jobs/${file}.js`));
    expect(entries.filter(file => !existsSync(file))).toEqual([]);
    const loaded = [...loadedWith(entries)];
    expect(loaded).toContain('dist/jobs/control/client.js');
    expect(loaded.filter(file => !file.startsWith('dist/'))).toEqual([]);
    expect(loaded.length).toBeLessThan(30);
  },
);
