import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';

/** Statements that make a database ready for its queries. */
export const setupOption = {
  setup: z
    .array(z.string().min(1))
    .optional()
    .describe('statements for each connection before it is used: LOAD, ATTACH, CREATE SECRET, SET …'),
};

/** The statements with paths of files that they attach from `baseDirectory`: DuckDB starts them from the process's own. */
export const setupFrom = (statements: readonly string[] | undefined, baseDirectory: string): string[] =>
  (statements ?? []).map(sql =>
    sql.replace(/^(\s*ATTACH\b[^']*')([^':]+)(?=')/i, (all, attach: string, path: string) => {
      const file = resolve(baseDirectory, path);
      return existsSync(file) ? attach + file.replaceAll("'", "''") : all;
    }),
  );
