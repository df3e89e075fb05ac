/**
 * @file The sources as JavaScript, as the package has them: the command then starts in a third of the time that a
 * TypeScript loader takes, in each of its processes. Made once per state of the sources.
 */
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const SOURCES = fileURLToPath(new URL("../../src", import.meta.url));
/** Inside node_modules' parent, so that packages are found from there. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/tersor-test", import.meta.url));

/** Milliseconds after which the code of another state is thrown away: nobody runs it any more. */
const STALE = 3_600_000;

/** The folder with the compiled sources. */
export function compileSources(): string {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .sort()
    .map((name) => ({ name, text: readFileSync(join(SOURCES, name), "utf8") }));
  const hash = createHash("sha1").update(JSON.stringify(files)).digest("hex").slice(0, 16);
  const folder = join(CACHE, hash);
  mkdirSync(CACHE, { recursive: true });
  const others = readdirSync(CACHE).filter((name) => name !== hash);
  for (const other of others) {
    const path = join(CACHE, other);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > STALE) rmSync(path, { recursive: true, force: true });
  }
  if (readdirSync(CACHE).includes(hash)) return folder;
  const temporary = mkdtempSync(join(CACHE, "new-"));
  for (const { name, text } of files) {
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true,
      },
    });
    const path = join(temporary, name.replace(/\.ts$/, ".js"));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, outputText);
  }
  writeFileSync(join(temporary, "package.json"), '{ "type": "module" }\n');
  try {
    renameSync(temporary, folder);
  } catch {
    // Another test was first.
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
