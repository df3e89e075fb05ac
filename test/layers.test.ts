/**
 * @file Holds the order of folders (ARCHITECTURE.md): a folder imports only from folders before it; siblings do not
 * import each other; only runtime/ imports onnxruntime; the platform-free entry loads nothing of Node.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/** Groups in order; folders of one group are siblings. */
const ORDER = [
  ["util"],
  ["tensor"],
  ["coding"],
  ["onnx"],
  ["graph"],
  ["runtime"],
  ["step"],
  ["passes", "nn", "data", "measure"],
  ["autodiff"],
  ["quantize", "prune"],
  ["train"],
  ["pack"],
  ["compile"],
  ["analyze"],
  ["recipe"],
  ["cli"],
] as const;

const root = fileURLToPath(new URL("../src", import.meta.url));

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return name.endsWith(".ts") ? [path] : [];
  });
}

interface Import {
  readonly from: string;
  readonly specifier: string;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, "utf8");
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)|(?:^|\n)import\s+"([^"]+)"/g,
  );
  return [...found].map((match) => ({ from: file, specifier: (match[1] ?? match[2] ?? match[3])! }));
}

const files = sources(root).filter((file) => !file.endsWith(".test.ts"));
const imports = files.flatMap(importsOf);

function groupOf(folder: string): number {
  return ORDER.findIndex((group) => (group as readonly string[]).includes(folder));
}

describe("layers", () => {
  test("there are imports to look at", () => {
    expect(imports.length).toBeGreaterThan(200);
  });

  test("every folder has its place in the order", () => {
    const folders = readdirSync(root).filter((name) => statSync(join(root, name)).isDirectory());
    expect(folders.filter((folder) => groupOf(folder) < 0)).toEqual([]);
  });

  test("folders import only from folders before them", () => {
    const wrong: string[] = [];
    for (const { from, specifier } of imports) {
      if (!specifier.startsWith(".")) continue;
      const [here, there] = [from, resolve(dirname(from), specifier)].map((path) => relative(root, path).split("/"));
      // Files directly in src/ are the entries: they import anything and only the command imports one of them.
      if (here!.length === 1) continue;
      if (there!.length === 1) {
        if (there![0] !== "version.ts") wrong.push(`${relative(root, from)} imports the entry ${specifier}`);
        continue;
      }
      if (here![0] === there![0]) continue;
      if (groupOf(there![0]!) >= groupOf(here![0]!)) wrong.push(`${relative(root, from)} imports ${specifier}`);
    }
    expect(wrong).toEqual([]);
  });

  test("only runtime/ imports onnxruntime", () => {
    const wrong = imports.filter(
      ({ from, specifier }) => specifier.startsWith("onnxruntime") && !relative(root, from).startsWith("runtime/"),
    );
    expect(wrong).toEqual([]);
  });

  test.each(["index.ts", "nn.ts", "web.ts"])(
    "the platform-free entry %s reaches nothing of Node, and no runtime, before it is asked",
    (entry) => {
      const reached = closure(join(root, entry));
      const bad = [...reached].flatMap(staticImports).filter(({ specifier }) => /^(node:|onnxruntime)/.test(specifier));
      expect(bad.map(({ from, specifier }) => `${relative(root, from)} imports ${specifier}`)).toEqual([]);
    },
  );
});

/** Imports that run at load: no `import type`, no `import()`. */
function staticImports(file: string): Import[] {
  const text = readFileSync(file, "utf8");
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s(?!type\s)[^;]*?from\s+"([^"]+)"|(?:^|\n)import\s+"([^"]+)"/g,
  );
  return [...found].map((match) => ({ from: file, specifier: (match[1] ?? match[2])! }));
}

function closure(entry: string): Set<string> {
  const reached = new Set<string>();
  const open = [entry];
  while (open.length > 0) {
    const file = open.pop()!;
    if (reached.has(file)) continue;
    reached.add(file);
    for (const { specifier } of staticImports(file)) {
      if (specifier.startsWith(".")) open.push(resolve(dirname(file), specifier));
    }
  }
  return reached;
}
