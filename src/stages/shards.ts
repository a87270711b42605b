import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../contracts/manifest.js';
import { StageError } from '../errors.js';
import { planWrittenFit } from '../fit/ranges.js';
import { mergeItems } from '../gramian/merge.js';
import type { SegmentFile } from '../gramian/segment.js';
import { runOnce } from '../runtime/compute.js';
import { type Progress, tasksOf } from '../runtime/task.js';
import type { FitOptions } from '../solvers/index.js';
import { makeModel } from './make-model.js';

const mergeTask = tasksOf<typeof import('../gramian/merge.js')>(
  new URL('../gramian/merge.js', import.meta.url),
);

/** A state with a stored Gramian, one of several whose users are disjoint. */
export interface ShardState {
  readonly directory: string;
  /** Fixed-point scale and semantics. */
  readonly scale: number;
  readonly interactions: string;
  /** η of the user weights in the segments. */
  readonly userWeighting: number;
  /** Items of a history in the segments at most, as text. */
  readonly maxHistory: string;
  readonly itemKeys: readonly string[];
  readonly segments: readonly SegmentFile[];
  /** Users with a nonzero row, their nonzeros, events folded, and events that wait for a fold. */
  readonly counts: Readonly<Record<'users' | 'interactions' | 'events' | 'waiting', number>>;
}

/** Settings that shards must have in common. */
const shared = {
  scale: 'semantics.weightScale',
  interactions: 'semantics.interactions',
  userWeighting: 'fit.userWeighting',
  maxHistory: 'gramian.maxHistory',
} as const;

/** Refuses shards whose entries do not mean the same: `STATE_MISMATCH`. */
export function assertAlike([first, ...others]: readonly ShardState[]): void {
  for (const other of others) {
    for (const [key, setting] of Object.entries(shared) as [keyof typeof shared, string][]) {
      if (other[key] === first![key]) continue;
      throw new StageError(
        'STATE_MISMATCH',
        `${setting}: ${first!.directory} was made with ${first![key]}, ${other.directory} with ${other[key]}`,
      );
    }
  }
}

/**
 * Fits the sum of the shards' Gramians, whose items are brought into one numbering, and writes `out/<version>/`.
 * `waiting` counts events that are not folded. `STATE_EMPTY` without interactions.
 */
export async function fitShards(
  shards: readonly ShardState[],
  options: FitOptions,
  {
    out,
    memoryBytes,
    threads: most,
  }: { readonly out: string; readonly memoryBytes: number; readonly threads: number },
  settings: { readonly progress?: Progress; readonly signal?: AbortSignal } = {},
): Promise<{ readonly manifest: Manifest; readonly waiting: number }> {
  const { keys, ids } = mergeItems(shards.map(s => s.itemKeys));
  const total = (key: keyof ShardState['counts']) => shards.reduce((sum, s) => sum + s.counts[key], 0);
  const [users, interactions, events] = [total('users'), total('interactions'), total('events')];
  if (interactions === 0) throw new StageError('STATE_EMPTY', 'expected interactions to fit on, found none');
  // numbers of rows that are renamed take up to 3 bytes more, of an entry of 2.5 at least
  const files = shards.flatMap(s => s.segments.map(({ bytes }) => 2.2 * bytes));
  const counts = { users, items: keys.length, interactions, valued: true };
  const size = { ...counts, mode: 'stored', files, options } as const;
  const { threads, ranges } = planWrittenFit(size, memoryBytes, most);
  const renamed = mkdtempSync(join(tmpdir(), 'sansa-stream-fit-'));
  try {
    const paths: string[] = [];
    for (const [s, { directory, segments: files }] of shards.entries()) {
      for (const { file } of files) {
        const path = join(directory, 'gramian', file);
        const made = await runOnce(mergeTask('renameItems'), [path, ids[s]!, keys.length, renamed], {
          signal: settings.signal,
        });
        paths.push(join(renamed, made.file));
      }
    }
    const gramian = { mode: 'stored', paths, n: keys.length, scale: shards[0]!.scale } as const;
    const most = Number(shards[0]!.maxHistory);
    const maxHistory = Number.isNaN(most) ? undefined : most;
    const about = { parent: undefined, events, users, interactions, maxHistory };
    const input = { gramian, keys: async () => keys, options, threads, memoryBytes, ranges, ...about };
    return { manifest: await makeModel(out, input, settings), waiting: total('waiting') };
  } finally {
    rmSync(renamed, { recursive: true });
  }
}
