/**
 * @file Small files that options name: tables, specifications, tokenizers. Node only.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InputError, messageOf } from "../util/errors.ts";

const area = "data";
const collator = new Intl.Collator("en", { numeric: true });

/** "2.npz" before "10.npz"; the same order on every machine. */
export const byName = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : 1);

/** @throws InputError where there is no such file. */
export async function readText(path: string, help = "Check the path."): Promise<string> {
  return readFile(path, "utf8").catch((cause) => {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const problem = missing ? "expected a file, found nothing there" : `cannot be read: ${messageOf(cause)}`;
    throw new InputError({ area, subject: path, problem, help: missing ? help : undefined, cause });
  });
}

/** @throws InputError where there is no such file, or no JSON in it. */
export async function readJson(path: string, help?: string): Promise<unknown> {
  const text = await readText(path, help);
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new InputError({ area, subject: path, problem: `expected JSON, got: ${messageOf(cause)}`, help, cause });
  }
}

/** A file that belongs to a model: beside it, or above a folder "onnx", as on the Hugging Face Hub. */
export function besideModel(model: string | undefined, name: string): string | undefined {
  if (model === undefined) return undefined;
  const folder = dirname(resolve(model));
  const folders = basename(folder) === "onnx" ? [folder, dirname(folder)] : [folder];
  return folders.map((place) => join(place, name)).find((path) => existsSync(path));
}
