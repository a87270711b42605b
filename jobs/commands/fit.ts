import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openShard, type Shard } from '../../connectors/duckdb/shard.js';
import { StageError } from '../../src/errors.js';
import { planFit } from '../../src/fit/memory.js';
import { mergeItems, renameItems } from '../../src/gramian/merge.js';
import { fitOptions } from '../../src/options.js';
import { makeModel } from '../../src/stages/make-model.js';
import { checked } from '../checked.js';
import { allowanceOf, type Command, type CommandContext, count, type Outcome } from '../command.js';
import { contextOf, runJob } from '../job.js';
import { refit } from '../kinds/refit.js';
import { resultOf } from '../outcome.js';
import { cli } from '../trigger.js';
import { fitFlags, fitHelp, optionsOfFit } from './fit-flags.js';

type Settings = Pick<CommandContext, 'signal'> & { readonly progress: (stage: string, part: number) => void };

const outcome = (
  manifest: { version: string; parameters: number; interactions: number },
  path: string,
): Outcome => ({
  json: manifest,
  text: `model ${manifest.version}: ${count(manifest.parameters)} parameters from ${count(manifest.interactions)} interactions\n${path}`,
});

/** What shards must have in common, by the setting that decides it. */
const shared = {
  scale: 'semantics.weightScale',
  interactions: 'semantics.interactions',
  userWeighting: 'fit.userWeighting',
} as const;

/** Refuses to add up what does not mean the same. */
function assertAlike([first, ...others]: readonly Shard[]): void {
  for (const other of others) {
    for (const [key, what] of Object.entries(shared) as [keyof typeof shared, string][]) {
      if (other[key] === first![key]) continue;
      throw new StageError(
        'STATE_MISMATCH',
        `${what}: ${first!.directory} was made with ${first![key]}, ${other.directory} with ${other[key]}`,
      );
    }
  }
}

/** Fits the sum of the states' Gramians: their users are disjoint, their items are brought into one numbering. */
async function fitShards({ values }: CommandContext, settings: Settings): Promise<Outcome> {
  const directories = [...new Set((values.state as string[]).map(s => resolve(s)))];
  const { memoryBytes, threads: requested } = allowanceOf(values);
  const shards: Shard[] = [];
  const renamed = mkdtempSync(join(tmpdir(), 'sansa-stream-fit-'));
  try {
    for (const directory of directories) shards.push(await openShard(directory));
    assertAlike(shards);
    const { userWeighting } = shards[0]!;
    const options = checked(fitOptions, { userWeighting, ...optionsOfFit(values) }, 'options');
    const { keys, ids } = mergeItems(shards.map(s => s.itemKeys));
    const total = (key: keyof Shard['counts']) => shards.reduce((sum, s) => sum + s.counts[key], 0);
    const counts = { users: total('users'), items: keys.length, interactions: total('interactions') };
    if (counts.interactions === 0)
      throw new StageError('STATE_EMPTY', 'expected interactions to fit on, found none');
    const segments = shards.reduce((sum, s) => sum + s.segments.length, 0);
    const size = {
      ...counts,
      valued: true,
      mode: 'stored',
      segments,
      options,
    } as const;
    const { threads } = planFit(size, memoryBytes, requested);
    const paths = shards.flatMap(({ directory, segments: files }, s) =>
      files.map(({ file }) =>
        join(renamed, renameItems(join(directory, 'gramian', file), ids[s]!, keys.length, renamed).file),
      ),
    );
    const gramian = { mode: 'stored', paths, n: keys.length, scale: shards[0]!.scale } as const;
    const about = {
      parent: undefined,
      events: total('events'),
      users: counts.users,
      interactions: counts.interactions,
    };
    const out = resolve(typeof values.out === 'string' ? values.out : 'models');
    const manifest = await makeModel(
      out,
      { gramian, keys, options, threads, memoryBytes, ...about },
      settings,
    );
    const { json, text } = outcome(manifest, join(out, manifest.version));
    const waiting = total('waiting');
    return {
      json: { ...json, states: directories, waiting },
      text: waiting > 0 ? `${text}\n${count(waiting)} events wait for a fold and are not in it` : text,
    };
  } finally {
    for (const shard of shards) await shard.close();
    rmSync(renamed, { recursive: true });
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
    out: 'where the model of the shards is written (models)',
  },
  async run(context) {
    const { pipeline, values, progress, signal } = context;
    const settings = {
      signal,
      progress: (stage: string, part: number) => progress(`fit: ${stage} ${Math.floor(part * 100)}%`),
    };
    if (values.state !== undefined) return fitShards(context, settings);
    const p = await pipeline();
    const manifest = resultOf(await runJob(contextOf(p, settings), refit, cli, optionsOfFit(values)))!;
    return outcome(manifest, p.weightsPath(manifest.version));
  },
};
