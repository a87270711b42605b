/**
 * Dependencies point one way: src ← connectors ← jobs ← examples, and inside `src/` from each floor only to lower
 * ones. `src/` imports no IO package, no connector imports another, and kernels import nothing but kernels.
 * Imports of types count like any other.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const layers = ['src', 'connectors', 'jobs', 'examples'];
/** The rooms of `src/`, the lowest floor first. */
const floors = [
  'errors',
  'size',
  'kernels',
  'runtime',
  'matrix',
  'gramian',
  'model',
  'solvers',
  'fit',
  'evaluate',
  'tune',
  'contracts',
  'publish',
  'stages',
  'mapping',
  'testing',
  'connector',
  'index',
];
/** Packages that `src/` may use: computing, not talking to the world. */
const purePackages = ['zod', '@marcbachmann/cel-js'];

interface Import {
  readonly file: string;
  readonly target: string;
}

function imports(layer: string): Import[] {
  const files = readdirSync(join(root, layer), { recursive: true, encoding: 'utf8' }).filter(f =>
    f.endsWith('.ts'),
  );
  return files.flatMap(name => {
    const file = join(layer, name);
    const text = readFileSync(join(root, file), 'utf8');
    const found = [
      ...text.matchAll(
        /^(?:import|export)[^;'"]*?from '([^']+)'|import\(\s*'([^']+)'\s*\)|^import '([^']+)'/gms,
      ),
    ];
    return found.map(m => {
      const target = (m[1] ?? m[2] ?? m[3])!;
      return {
        file,
        target: target.startsWith('.') ? relative(root, resolve(root, dirname(file), target)) : target,
      };
    });
  });
}

const all = layers.flatMap(imports);

it('sees the imports', () => {
  expect(all.length).toBeGreaterThan(100);
});

it('a layer imports only the layers below it', () => {
  const wrong = all.filter(({ file, target }) => {
    const to = layers.indexOf(target.split('/')[0]!);
    return to > layers.indexOf(file.split('/')[0]!);
  });
  expect(wrong).toEqual([]);
});

it('src imports no package but the pure ones', () => {
  const wrong = all.filter(
    ({ file, target }) =>
      file.startsWith('src/') &&
      !target.startsWith('src/') &&
      !target.startsWith('node:') &&
      !purePackages.includes(target),
  );
  expect(wrong).toEqual([]);
});

it('a connector imports no other connector', () => {
  const wrong = all.filter(({ file, target }) => {
    const [, system, rest] = file.split('/');
    const [layer, other] = target.split('/');
    return file.startsWith('connectors/') && rest !== undefined && layer === 'connectors' && other !== system;
  });
  expect(wrong).toEqual([]);
});

it('kernels import only kernels', () => {
  const wrong = all.filter(
    ({ file, target }) => file.startsWith('src/kernels/') && !target.startsWith('src/kernels/'),
  );
  expect(wrong).toEqual([]);
});

it('a room of src imports only lower floors', () => {
  const floorOf = (path: string) => floors.indexOf(path.split('/')[1]!.replace(/\.[jt]s$/, ''));
  const inside = all.filter(({ file, target }) => file.startsWith('src/') && target.startsWith('src/'));
  expect(inside.filter(({ file }) => floorOf(file) < 0)).toEqual([]);
  const wrong = inside.filter(({ file, target }) => floorOf(target) < 0 || floorOf(target) > floorOf(file));
  expect(wrong).toEqual([]);
});

it('no files import each other in a circle', () => {
  let edges = all.map(({ file, target }) => ({ from: file.replace(/\.ts$/, '.js'), to: target }));
  // an import lies on no circle when its target imports nothing that is left, or nothing that is left imports its file
  for (let before = -1; edges.length !== before; ) {
    before = edges.length;
    const [importers, imported] = [new Set(edges.map(e => e.from)), new Set(edges.map(e => e.to))];
    edges = edges.filter(({ from, to }) => importers.has(to) && imported.has(from));
  }
  expect(edges).toEqual([]);
});
