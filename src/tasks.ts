import { join } from 'node:path';
import { type FitReport, fit } from './fit/fit.js';
import type { Gramian } from './gramian/columns.js';
import { compactSegments } from './gramian/compact.js';
import { implicitGramian } from './gramian/implicit.js';
import { fromNothing, type RowChanges, type Rows } from './gramian/rows.js';
import { openSegment, type SegmentFile, writeSegment } from './gramian/segment.js';
import { assertExact, storedGramian, sumSegments } from './gramian/stored.js';
import { difference, pairsOf, updateColumns } from './gramian/update.js';
import { parameters } from './model/model.js';
import { createScorer, type Scorer } from './model/score.js';
import { loadModel, saveModel } from './model/weights-file.js';
import type { FitOptions } from './options.js';

/** Where a fit gets the columns of G from. */
export type GramianInput =
  | { readonly mode: 'implicit'; readonly rows: Rows; readonly scale: number }
  | {
      readonly mode: 'stored';
      readonly paths: readonly string[];
      readonly n: number;
      readonly scale: number;
    };

/** The Gramian that `input` describes. */
export const openGramian = (input: GramianInput): Gramian =>
  input.mode === 'implicit'
    ? implicitGramian(input.rows, input.scale)
    : storedGramian(input.paths, input.n, input.scale);

/** The largest sum of |terms| in any entry of ΔG: users of the fullest column times twice the largest product. */
function largestEntry({ before, after }: RowChanges, D: Rows): number {
  const most = (values: Int32Array | undefined) => values?.reduce((m, v) => Math.max(m, Math.abs(v)), 1) ?? 1;
  const counts = new Int32Array(D.n);
  for (const { indices } of [before, after]) for (const i of indices) counts[i]!++;
  const users = counts.reduce((m, c) => Math.max(m, c), 0);
  return 2 * users * most(D.values) * Math.max(most(before.values), most(after.values));
}

/** Writes the segment of a change; `undefined` when the change is empty. */
export function buildSegment(directory: string, scale: number, changes: RowChanges): SegmentFile | undefined {
  const D = difference(changes);
  if (D.indices.length === 0) return undefined;
  const wide = largestEntry(changes, D) > 0x7fffffff;
  const exact = function* () {
    for (const block of updateColumns(changes, D)) yield wide ? assertExact(block) : block;
  };
  return writeSegment(directory, D.n, scale, exact(), { wide });
}

/** Whether a change is small enough to be multiplied out where it stands (a few milliseconds). */
export function isSmall(changes: RowChanges): boolean {
  return (
    changes.after.indices.length + changes.before.indices.length < 20_000 &&
    pairsOf(changes, difference(changes)) < 1e6
  );
}

/** Entries in which the stored segments differ from XᵀX recomputed from the histories, and checksum failures. */
function verify(directory: string, files: readonly SegmentFile[], rows: Rows) {
  const segments = files.map(f => openSegment(join(directory, f.file)));
  try {
    const broken = segments.filter(s => !s.intact()).map(s => s.path);
    const truth = updateColumns(fromNothing(rows));
    let differing = 0;
    let entries = 0;
    const dense = new Float64Array(rows.n);
    // Column by column: |stored − recomputed| in a dense column, both sides streamed in ascending columns.
    let block = truth.next();
    for (const sum of sumSegments(segments, rows.n)) {
      for (let c = 0; c + 1 < sum.indptr.length; c++) {
        const j = sum.first + c;
        for (let e = sum.indptr[c]!; e < sum.indptr[c + 1]!; e++) dense[sum.indices[e]!] = sum.values[e]!;
        while (!block.done && j >= block.value.first + block.value.indptr.length - 1) block = truth.next();
        if (!block.done) {
          const { first, indptr, indices, values } = block.value;
          for (let e = indptr[j - first]!; e < indptr[j - first + 1]!; e++) {
            entries++;
            if (dense[indices[e]!] !== values[e]) differing++;
            dense[indices[e]!] = 0;
          }
        }
        for (let e = sum.indptr[c]!; e < sum.indptr[c + 1]!; e++) {
          if (dense[sum.indices[e]!] !== 0) differing++;
          dense[sum.indices[e]!] = 0;
        }
      }
    }
    if (segments.length === 0)
      for (const b of updateColumns(fromNothing(rows))) differing += b.indices.length;
    return { differing, entries, broken };
  } finally {
    for (const s of segments) s.close();
  }
}

let cached: { readonly path: string; readonly scorer: Scorer } | undefined;

/** What a worker can be asked to do: plain data in, plain data out. */
export const tasks = {
  fit(
    input: { gramian: GramianInput; options: FitOptions; path: string },
    progress: (stage: string, part: number) => void,
  ) {
    const gramian = openGramian(input.gramian);
    try {
      const { model, report } = fit(gramian, input.options, progress);
      saveModel(input.path, model, { solver: input.options.solver });
      return { report: report as FitReport, parameters: parameters(model) };
    } finally {
      gramian.close();
    }
  },

  segment: (input: { directory: string; scale: number; changes: RowChanges }) =>
    buildSegment(input.directory, input.scale, input.changes),

  compact: (input: { directory: string; segments: readonly SegmentFile[]; n: number }) =>
    compactSegments(input.directory, input.segments, input.n),

  verify: (input: { directory: string; segments: readonly SegmentFile[]; rows: Rows }) =>
    verify(input.directory, input.segments, input.rows),

  /** Top-k lists for the rows of some users, own items left out: `count` of row r, then items and scores. */
  score(input: { path: string; rows: Rows; k: number }) {
    if (cached?.path !== input.path)
      cached = { path: input.path, scorer: createScorer(loadModel(input.path)) };
    const { indptr, indices, values, users } = input.rows;
    return Array.from(users, (_, r) => {
      const [from, to] = [indptr[r]!, indptr[r + 1]!];
      return cached!.scorer.topK(indices.subarray(from, to), values?.subarray(from, to), input.k);
    });
  },
};

export type Tasks = typeof tasks;
