import { z } from 'zod';
import { databaseOptions, semanticsOptions } from '../connectors/duckdb/options.js';
import {
  kindOf,
  signalOptions,
  sinks as sinkKinds,
  sinkOptions,
  sources as sourceKinds,
  sourceOptions,
} from '../connectors/registry.js';
import type { Sink, Source } from '../src/contracts/index.js';
import { gateOptions } from '../src/evaluate/gate.js';
import { stageOptions } from '../src/stages/options.js';
import { defaultState } from './config-file.js';

/** Settings of a pipeline that its jobs know. */
export const settings = stageOptions.extend({
  state: z.string().min(1).default(defaultState).describe('state directory'),
  semantics: semanticsOptions.prefault({}),
  database: databaseOptions.prefault({}),
  sources: z
    .array(sourceOptions)
    .superRefine((sources, context) => {
      const names = sources.map(s => s.name);
      names.forEach((name, k) => {
        if (names.indexOf(name) === k) return;
        const message = `expected a name of its own, found ${JSON.stringify(name)} as in sources.${names.indexOf(name)}`;
        context.addIssue({ code: 'custom', path: [k, 'name'], message });
      });
      const histories = sources.filter(o => kindOf<Source>(sourceKinds, o).hasHistories).map(o => o.name);
      const taken = new Set<string>();
      sources.forEach((o, k) => {
        const name = o.type === 'kafka' && 'startAfter' in o ? (o.startAfter as { readonly source: string } | undefined)?.source : undefined;
        if (name === undefined) return;
        if (histories.includes(name) && !taken.has(name)) {
          taken.add(name);
          return;
        }
        const expected = `expected a DuckDB source that no other goes on from (${histories.join(', ') || 'none is there'})`;
        const message = `${expected}, found ${JSON.stringify(name)}`;
        context.addIssue({ code: 'custom', path: [k, 'startAfter', 'source'], message });
      });
    })
    .default([]),
  sinks: z
    .array(sinkOptions)
    .superRefine((sinks, context) => {
      const places = sinks.map(o => `${o.type} ${kindOf<Sink>(sinkKinds, o).place?.(o)}`);
      places.forEach((place, k) => {
        const first = places.indexOf(place);
        if (first === k) return;
        const message = `expected a place of its own, found that of sinks.${first}`;
        context.addIssue({ code: 'custom', path: [k], message });
      });
    })
    .default([]),
  models: z
    .strictObject({
      keep: z.int().min(1).default(10).describe('newest models kept beside those that are published'),
    })
    .prefault({}),
  signals: signalOptions.optional(),
  gate: gateOptions.optional(),
});
export type Settings = z.output<typeof settings>;
