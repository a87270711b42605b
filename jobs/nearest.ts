/**
 * Edits that turn `a` into `b`: insertions, deletions, replacements and swaps of neighbours (Damerau 1964, as the optimal
 * string alignment).
 */
function edits(a: string, b: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let fewest = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        fewest = Math.min(fewest, before[j - 2]! + 1);
      next.push(fewest);
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}

/** The known word that somebody meant who wrote `word`: at most a third of its letters differ. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const ranked = known.map(k => ({ k, n: edits(lower, k.toLowerCase()) })).sort((a, b) => a.n - b.n);
  return ranked[0] && ranked[0].n <= Math.max(1, Math.floor(word.length / 3)) ? ranked[0].k : undefined;
}
