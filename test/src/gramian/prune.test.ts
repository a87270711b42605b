/** A pruned view of stored segments keeps the rows that it says, and is made anew when they change. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { degreeOrder } from '#src/fit/order.js';
import { buildSegment } from '#src/gramian/build.js';
import { openSegment } from '#src/gramian/segment.js';
import { readColumns } from '#src/gramian/sum.js';
import { fromNothing, type Rows } from '#src/matrix/rows.js';
import type { Model } from '#src/model/model.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { temporaryDirectory } from '../../support/directory.js';
import { gramian, randomRows, rowsBetween } from '../../support/rows.js';

const options = fsaiOptions.parse({ neighbours: 6, userWeighting: 0, serving: 20 });

const bytes = ({ encoder, decoder, serving }: Model) =>
  [encoder, decoder, serving!].flatMap(l => [l.indptr.join(), l.indices.join(), l.data.join()]);

/** Rows by column: the diagonal, and the `keep` rows behind it in the order with the largest G_ij G_ii^(−α), later ones first among equals. */
function kept(rows: Rows, keep: number, alpha: number): Map<number, number>[] {
  const G = gramian(rows);
  const positions = new Int32Array(rows.n);
  degreeOrder(Float64Array.from(G, (row, j) => row[j]!)).forEach((item, k) => {
    positions[item] = k;
  });
  return G.map((_, j) => {
    const key = (i: number) => G[i]![j]! * G[i]![i]! ** -alpha;
    const behind = G.flatMap((row, i) => (row[j] !== 0 && positions[i]! > positions[j]! ? [i] : []));
    behind.sort((a, b) => key(b) - key(a) || positions[b]! - positions[a]!);
    const all = [...behind.slice(0, keep), ...(G[j]![j] === 0 ? [] : [j])].sort((a, b) => a - b);
    return new Map(all.map(i => [i, G[i]![j]!]));
  });
}

it('keeps the diagonal and the largest rows of more popular items, of any segments and threads', async () => {
  const rows = randomRows({ users: 120, items: 90, density: 0.1, seed: 3, most: 2 });
  const n = rows.n;
  const views: Map<number, number>[][] = [];
  for (const cuts of [
    [0, 120],
    [0, 70, 110, 120],
  ]) {
    const directory = temporaryDirectory();
    const paths: string[] = [];
    for (let k = 0; k + 1 < cuts.length; k++) {
      const { file } = (await buildSegment(
        directory,
        1,
        fromNothing(rowsBetween(rows, cuts[k]!, cuts[k + 1]!)),
      ))!;
      paths.push(join(directory, file));
    }
    for (const threads of [1, 2]) {
      const pruning = { keep: 5 + threads, alpha: 0.3, directory };
      await fit({ mode: 'stored', paths, n, scale: 1, pruning }, options, { threads });
      const names = readdirSync(directory).filter(name => name.startsWith('pruned-'));
      expect(names).toHaveLength(1);
      const segment = openSegment(join(directory, names[0]!));
      const block = readColumns(segment, 0, n);
      segment.close();
      let e = 0;
      const view = Array.from(block.lengths, length => {
        const entries = Array.from(
          { length },
          (_, k) => [block.indices[e + k]!, block.values[e + k]!] as const,
        );
        e += length;
        return new Map(entries);
      });
      expect(view).toEqual(kept(rows, 5 + threads, 0.3));
      views.push(view);
    }
  }
  expect(views[2]).toEqual(views[0]);
});

it('gives the very model where it keeps all, and is used until the segments change', async () => {
  const directory = temporaryDirectory();
  const rows = randomRows({ users: 300, items: 200, density: 0.05, seed: 8 });
  const n = rows.n;
  const write = async (lo: number, hi: number) =>
    join(directory, (await buildSegment(directory, 1, fromNothing(rowsBetween(rows, lo, hi))))!.file);
  const first = await write(0, 250);
  const both = [first, await write(250, 300)];
  const exact = await fit({ mode: 'stored', paths: both, n, scale: 1 }, options, { threads: 1 });
  const pruned = (paths: readonly string[], keep: number) =>
    fit({ mode: 'stored', paths, n, scale: 1, pruning: { keep, alpha: options.alpha, directory } }, options);
  const all = await pruned(both, n);
  expect(bytes(all.model)).toEqual(bytes(exact.model));
  expect([all.report.pruned, exact.report.pruned]).toEqual([n, undefined]);
  // what follows from the density follows from that of the whole
  expect([all.report.signedServing, all.report.inputPower]).toEqual([
    exact.report.signedServing,
    exact.report.inputPower,
  ]);

  const made = () => readdirSync(directory).filter(name => name.startsWith('pruned-'));
  const [name] = made();
  const { mtimeMs, ino } = statSync(join(directory, name!));
  await pruned(both, n);
  expect(statSync(join(directory, name!))).toMatchObject({ mtimeMs, ino });
  const few = await pruned(both, 12);
  expect(bytes(few.model)).not.toEqual(bytes(exact.model));
  await pruned([first], n);
  expect(made()).toHaveLength(1);
  expect(made()).not.toEqual([name]);
});
