import type { ParseArgsConfig } from 'node:util';
import type { z } from 'zod';
import { StageError } from '../../src/errors.js';
import { fitOptions, solverNames, solvers } from '../../src/solvers/index.js';
import type { Values } from '../command.js';
import { defaultOf } from './option-flags.js';

const kebab = (name: string): string => name.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`);
const fallbackSolver = fitOptions.parse({}).solver;
/** Each option with its default, and its solver if not every solver has it. */
const meanings = new Map<string, string>([
  ['solver', `${solverNames.join(' or ')}; default ${fallbackSolver}`],
]);
for (const { options } of Object.values(solvers)) {
  for (const [name, schema] of Object.entries(options.shape)) {
    const owners = solverNames.filter(other => name in solvers[other].options.shape);
    const some = owners.length < solverNames.length ? ` (${owners.join(', ')})` : '';
    const meaning = `${schema.description ?? ''}${some}`;
    if (!meanings.has(name)) meanings.set(name, `${meaning}${defaultsText(name)}`);
  }
}

/** The default of an option, by solver where solvers differ in it. */
function defaultsText(name: string): string {
  const found = Object.entries(solvers).flatMap(([solver, { options }]) => {
    const option = (options.shape as Readonly<Record<string, z.ZodType>>)[name];
    const fallback = option && defaultOf(option);
    return fallback === undefined ? [] : [{ solver, fallback }];
  });
  if (found.length === 0) return '';
  const same = new Set(found.map(f => f.fallback)).size === 1;
  return same
    ? `; default ${found[0]!.fallback}`
    : `; default ${found.map(f => `${f.fallback} (${f.solver})`).join(', ')}`;
}

const names = [...meanings.keys()];
/** Options whose values are words. */
const texts = new Set(['solver', ...names.filter(isText)]);

function isText(name: string): boolean {
  return Object.values(solvers).some(({ options }) => {
    const option = (options.shape as Readonly<Record<string, z.ZodType>>)[name];
    return option !== undefined && typeof option.safeParse(undefined).data === 'string';
  });
}

/** One flag for each fit option: `--l2`, `--density`, `--max-shifts`, … */
export const fitFlags: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(
  names.map(name => [kebab(name), { type: 'string' as const }]),
);

/** Help of each flag. */
export const fitHelp: Readonly<Record<string, string>> = Object.fromEntries(
  names.map(name => [kebab(name), meanings.get(name)!]),
);

/** The fit options that were given as flags; numbers and booleans are read as such. */
export function optionsOfFit(values: Values): Record<string, unknown> {
  const given = names.filter(name => values[kebab(name)] !== undefined);
  return Object.fromEntries(
    given.map(name => {
      const text = String(values[kebab(name)]);
      if (texts.has(name)) return [name, text];
      if (text === 'true' || text === 'false') return [name, text === 'true'];
      const number = Number(text);
      if (text.trim() === '' || Number.isNaN(number)) {
        throw new StageError('USAGE', `--${kebab(name)}: expected a number, found ${JSON.stringify(text)}`);
      }
      return [name, number];
    }),
  );
}
