import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { pipelineOptions } from './config.js';

/** The JSON Schema of a configuration, as the build writes it. */
export const configSchemaFile = fileURLToPath(new URL('../pipeline.schema.json', import.meta.url));

type Json = z.core.JSONSchema.BaseSchema;

/** A variable stands for a value of any type. */
const variable: Json = { type: 'string', pattern: '\\$\\{[A-Za-z_]\\w*(:[^}]*)?\\}' };

/** Whether a text in place of the value would be refused. */
const isStrict = ({ type, pattern, format, enum: words }: Json): boolean =>
  ['integer', 'number', 'boolean'].includes(String(type)) || Boolean(pattern ?? format ?? words);

/** JSON Schema has no patterns that ignore case. */
const ignoresCase = ({ checks = [] }: { readonly checks?: readonly z.core.$ZodCheck[] }): boolean =>
  checks.some(check => (check._zod.def as { pattern?: RegExp }).pattern?.ignoreCase);

/** Puts a variable beside the values that a schema allows. */
function allowVariable(schema: Json): void {
  const { default: fallback, description, ...plain } = schema;
  for (const key of Object.keys(schema)) delete schema[key];
  schema.anyOf = [plain, variable];
  if (description !== undefined) schema.description = description;
  if (fallback !== undefined) schema.default = fallback;
}

/** The JSON Schema of a configuration file, for editors. */
export function configSchema(): object {
  const schema = z.toJSONSchema(pipelineOptions, {
    io: 'input',
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema, path }) {
      // The number of cores is that of the machine that built the package.
      if (path.join('.') === 'properties.threads') delete jsonSchema.default;
      if (ignoresCase(zodSchema._zod.def as object)) delete jsonSchema.pattern;
      if (zodSchema._zod.def.type !== 'literal' && isStrict(jsonSchema)) allowVariable(jsonSchema);
    },
  });
  return { title: 'A pipeline of sansa-stream', ...schema };
}
