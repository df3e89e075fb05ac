/**
 * @file Patterns of names: `*` stands for any text, `?` for one character; the whole name must match.
 */
export function matchesAny(patterns: readonly string[], names: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const source = pattern.replace(/[\s\S]/g, (part) => {
      if (part === "*") return "[\\s\\S]*";
      if (part === "?") return "[\\s\\S]";
      return part.replace(/[.+^${}()|[\]\\/]/g, "\\$&");
    });
    const compiled = new RegExp(`^${source}$`);
    return names.some((name) => compiled.test(name));
  });
}
