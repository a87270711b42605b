import { join, resolve } from 'node:path';
import type { Shard } from '../../connectors/duckdb/shard.js';
import { databaseShare } from '../../src/fit/memory.js';
import { fitOptions } from '../../src/solvers/index.js';
import { assertAlike, fitShards } from '../../src/stages/shards.js';
import { checked } from '../checked.js';
import { type Command, type CommandContext, type CommandResult, count } from '../command.js';
import { allowanceOf } from './allowance.js';
import { fitFlags, fitHelp, optionsOfFit } from './fit-flags.js';

type Settings = Pick<CommandContext, 'signal'> & { readonly progress: (stage: string, part: number) => void };

const outcome = (
  manifest: { version: string; parameters: number; interactions: number },
  path: string,
): CommandResult => ({
  json: manifest,
  text: `model ${manifest.version}: ${count(manifest.parameters)} parameters from ${count(manifest.interactions)} interactions\n${path}`,
});

/** Fits the sum of the states' Gramians. */
async function fitStates({ values }: CommandContext, settings: Settings): Promise<CommandResult> {
  const directories = [...new Set((values.state as string[]).map(s => resolve(s)))];
  const allowance = allowanceOf(values);
  const { openShard } = await import('../../connectors/duckdb/shard.js');
  const shards: Shard[] = [];
  try {
    for (const directory of directories)
      shards.push(await openShard(directory, databaseShare(allowance.memoryBytes) / directories.length));
    assertAlike(shards);
    const { userWeighting } = shards[0]!;
    const options = checked(fitOptions, { userWeighting, ...optionsOfFit(values) }, 'options');
    const out = resolve(typeof values.out === 'string' ? values.out : 'models');
    const { manifest, waiting } = await fitShards(
      shards,
      options,
      { out, ...allowance, memoryBytes: allowance.memoryBytes - databaseShare(allowance.memoryBytes) },
      settings,
    );
    const { json, text } = outcome(manifest, join(out, manifest.version));
    return {
      json: { ...json, states: directories, waiting },
      text: waiting > 0 ? `${text}\n${count(waiting)} events wait for a fold and are not in it` : text,
    };
  } finally {
    for (const shard of shards) await shard.close();
  }
}

export const fit: Command = {
  summary: 'fit a model on the folded state, or on the sum of several shards',
  usage: '-c pipeline.yaml [--l2 N] [--density N] … | --state DIR --state DIR … [--out DIR]',
  options: {
    ...fitFlags,
    memory: { type: 'string' },
    threads: { type: 'string' },
    state: { type: 'string', multiple: true },
    out: { type: 'string' },
  },
  help: {
    ...fitHelp,
    memory: 'in place of the configured memory',
    threads: 'in place of the configured threads',
    state: 'directory of a shard that no process has open; once for each shard',
    out: 'where the model of the shards is written; default models',
  },
  async run(context) {
    const { ask, values, progress, signal } = context;
    const shown = (stage: string, part: number) => progress(`fit: ${stage} ${Math.floor(part * 100)}%`);
    if (values.state !== undefined) return fitStates(context, { signal, progress: shown });
    const { manifest, path, idle } = await ask('fit', optionsOfFit(values));
    const { json, text } = outcome(manifest, path);
    if (idle === undefined) return { json, text };
    return { json: { ...json, unchanged: true }, text: `${idle}: no new model\n${text}` };
  },
};
