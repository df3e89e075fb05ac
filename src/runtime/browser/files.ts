/**
 * @file The files that a page loads: Tersor's own modules and onnxruntime-web's, as they are, without a bundler. In the
 * package the modules are JavaScript. A checkout has TypeScript: there the `typescript` package, which every checkout
 * has, takes the types away on the fly; import endings stay `.ts`, which a browser does not mind.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError, messageOf, UnsupportedError } from "../../util/errors.ts";

/** `src` or `dist`. */
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** ".ts" in a checkout, ".js" in the package. */
export const ENDING = extname(fileURLToPath(import.meta.url));

export interface ServedFile {
  readonly type: string;
  readonly body: Uint8Array | string;
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".wasm": "application/wasm",
};

/** One of Tersor's modules, by its path below the sources; undefined: there is none. */
export async function moduleFile(path: string): Promise<ServedFile | undefined> {
  const file = inside(ROOT, path);
  if (file === undefined || extname(file) !== ENDING || !existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  return { type: "text/javascript; charset=utf-8", body: ENDING === ".ts" ? await withoutTypes(text) : text };
}

async function withoutTypes(text: string): Promise<string> {
  const { default: ts } = await import("typescript");
  const { ESNext: module } = ts.ModuleKind;
  const { ES2023: target } = ts.ScriptTarget;
  return ts.transpileModule(text, { compilerOptions: { target, module, verbatimModuleSyntax: true } }).outputText;
}

/** One of onnxruntime-web's files. */
export function ortFile(folder: string, name: string): ServedFile | undefined {
  const file = inside(folder, name);
  const type = TYPES[extname(name)];
  if (file === undefined || type === undefined || !existsSync(file)) return undefined;
  return { type, body: readFileSync(file) };
}

/** The file, unless `path` leads out of the folder. */
function inside(folder: string, path: string): string | undefined {
  const file = resolve(folder, path);
  return file.startsWith(resolve(folder) + sep) ? file : undefined;
}

/**
 * The folder with onnxruntime-web's bundles.
 * @param given a folder of another version: the package, or its `dist`. Default: the installed package.
 * @throws InputError where the given one has no bundles; UnsupportedError where the package is not installed.
 */
export function findOrt(given?: string): string {
  const bundle = "ort.wasm.min.mjs";
  if (given !== undefined) {
    const found = [given, join(given, "dist")].find((folder) => existsSync(join(folder, bundle)));
    if (found !== undefined) return resolve(found);
    const problem = `expected a folder of onnxruntime-web, with ${bundle} in it or in dist/, got none`;
    throw new InputError({ area: "runtime", subject: given, problem, help: "Give the package's folder." });
  }
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  } catch (cause) {
    throw new UnsupportedError({
      area: "runtime",
      subject: "onnxruntime-web",
      problem: `expected the package to be there, got: ${messageOf(cause).split("\n")[0]}`,
      help: "Install it: npm install onnxruntime-web",
      cause,
    });
  }
}
