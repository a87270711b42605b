import { z } from 'zod';

/** Rules of published lists. */
export const ruleOptions = z.strictObject({
  excludeSeen: z.boolean().default(true).describe("leave a user's own items out"),
  minimumScore: z.number().optional().describe('items below this score are left out'),
  fallback: z
    .boolean()
    .default(false)
    .describe('fill up the lists of users who get fewer than k items with popular ones, marked as such'),
  attributes: z
    .strictObject({
      database: z
        .string()
        .min(1)
        .optional()
        .describe('DuckDB file; without it the query reads Parquet or CSV files'),
      query: z.string().min(1).describe('a column `item`, and columns that `deny`, `allow` and `cap` name'),
    })
    .optional(),
  deny: z.string().optional().describe('attribute: items where it is true are never recommended'),
  allow: z.string().optional().describe('attribute: only items where it is true are recommended'),
  cap: z
    .strictObject({ attribute: z.string().min(1), most: z.int().min(1) })
    .optional()
    .describe('at most so many items of a list have the same value of an attribute'),
});
export type RuleOptions = z.output<typeof ruleOptions>;
