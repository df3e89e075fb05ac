/**
 * @file Edit distance of two sequences.
 */

/**
 * Smallest number of insertions, deletions and substitutions, each of cost 1, that make one sequence the other.
 * Source: Wagner & Fischer, The String-to-String Correction Problem (1974), algorithm X, in two rows.
 */
export function editDistance<T>(from: readonly T[], to: readonly T[]): number {
  let row = Uint32Array.from({ length: to.length + 1 }, (_, j) => j);
  let next = new Uint32Array(to.length + 1);
  for (let i = 1; i <= from.length; i++) {
    next[0] = i;
    const element = from[i - 1];
    for (let j = 1; j <= to.length; j++) {
      const substituted = row[j - 1]! + (element === to[j - 1] ? 0 : 1);
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, substituted);
    }
    [row, next] = [next, row];
  }
  return row[to.length]!;
}

/** White space (U+3000 included) collapsed to single spaces and trimmed. */
export function normalizeText(text: string): string {
  return text.replace(/\s+/gu, " ").trim();
}
