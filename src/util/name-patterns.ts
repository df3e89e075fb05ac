/**
 * @file Patterns of names, as options have them.
 */

/** Whether a pattern names a node, or something else with a label. `*` stands for any text, `?` for one character; the whole name must match. */
export function matchesName(pattern: string, { label }: { readonly label: string }): boolean {
  return glob(pattern).test(label);
}

/** A pattern that names exactly the node of this name. */
export function exactPattern(name: string): string {
  return name.replace(/[*?\\]/g, "\\$&");
}

const patterns = new Map<string, RegExp>();

/** `*` and `?` as in {@link matchesName}; behind a backslash they, and a backslash, stand for themselves. */
function glob(pattern: string): RegExp {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    const source = pattern.replace(/\\[*?\\]|[\s\S]/g, (part) => {
      if (part === "*") return ".*";
      if (part === "?") return ".";
      return part.at(-1)!.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    });
    compiled = new RegExp(`^${source}$`, "s");
    patterns.set(pattern, compiled);
  }
  return compiled;
}
