/**
 * @file Finds the original among model files, and which files were made of it: by name in transformers.js' layout, else
 * by what goes in and out and by the number of weights.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { ReadOptions } from "../onnx/file-node.ts";
import { readModelFile } from "../onnx/file-node.ts";
import { InputError } from "../util/errors.ts";
import { type FileFacts, readFacts, stemOf } from "./file-facts.ts";

/** Files that belong together: an original and what was made of it. */
export interface Family {
  readonly original: FileFacts;
  readonly others: readonly FileFacts[];
  /** Some belong to it by what goes in and out and by the number of weights, not by name: they may be other models. */
  readonly guessed: boolean;
}

export interface FamilyOptions extends ReadOptions {
  /** The original, where names and contents do not tell. */
  readonly original?: string;
}

/**
 * The families of a folder (and its folder `onnx/`), or the one that a file belongs to: the original and this file.
 * @throws InputError where there are no models.
 */
export function findFamilies(path: string, options: FamilyOptions = {}): Family[] {
  const isFolder = checkPath(path);
  const read = (file: string): FileFacts => readFacts(file, options);
  if (options.original !== undefined) {
    // Anything but a model is bad input here, not a finding.
    readModelFile(options.original, options);
    const original = resolve(options.original);
    const files = (isFolder ? listModels(path) : [path]).filter((file) => resolve(file) !== original);
    return [{ original: read(options.original), others: files.map(read), guessed: false }];
  }
  if (!isFolder) return [familyOf(path, read)];
  const files = listModels(path);
  if (files.length === 0) {
    throw new InputError({
      area: "doctor",
      subject: path,
      problem: "expected .onnx files, found none",
      help: "Give a folder with models (also in its folder onnx/), or one file.",
    });
  }
  return group(files.map(read));
}

/** Whether it is a folder. */
function checkPath(path: string): boolean {
  if (existsSync(path)) return statSync(path).isDirectory();
  throw new InputError({
    area: "doctor",
    subject: path,
    problem: "expected a folder or a model file, found nothing there",
    help: "Check the path.",
  });
}

function listModels(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const files = entries.filter(({ name }) => name.endsWith(".onnx") && !name.startsWith("."));
  const nested = entries.some((entry) => entry.isDirectory() && entry.name === "onnx");
  return [
    ...files.filter((entry) => !entry.isDirectory()).map(({ name }) => join(folder, name)),
    ...(nested ? listModels(join(folder, "onnx")) : []),
  ].sort();
}

/** One file with the original beside it, by name first: other files of the folder are read only if that finds none. */
function familyOf(file: string, read: (file: string) => FileFacts): Family {
  if (extname(file) !== ".onnx") readModelFile(file);
  const beside = listModels(dirname(file)).filter((other) => resolve(other) !== resolve(file));
  const own = read(file);
  const namesakes = beside.filter((other) => stemOf(other) === stemOf(file)).map(read);
  const [family] = group([own, ...namesakes]);
  if (family!.original !== own) return { original: family!.original, others: [own], guessed: false };
  // It is an original itself, unless its name or its contents say otherwise.
  const derived = own.kind !== undefined || own.quantized === true;
  const alone = { original: own, others: [], guessed: false };
  if (namesakes.length > 0 || !derived) return alone;
  const found = group([own, ...beside.map(read)]).find(({ others }) => others.includes(own));
  return found === undefined ? alone : { original: found.original, others: [own], guessed: found.guessed };
}

function group(files: readonly FileFacts[]): Family[] {
  const groups = new Map<string, FileFacts[]>();
  for (const file of files) {
    const key = join(dirname(file.path), stemOf(file.path));
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  // Alone by name: it joins the files that it resembles, the least like an original first.
  for (const [key, [file]] of [...groups].sort(([, a], [, b]) => rankAsOriginal(a[0]!) - rankAsOriginal(b[0]!))) {
    // The ones before may have joined it.
    if (groups.get(key)?.length !== 1) continue;
    const hosts = [...groups].filter(([other, members]) => other !== key && isHost(members, file!));
    const [host] = hosts.sort(([a], [b]) => commonPrefix(b, key) - commonPrefix(a, key));
    if (host === undefined) continue;
    groups.delete(key);
    groups.set(host[0], [...host[1], file!]);
  }
  return [...groups.values()].map((members) => {
    const original = findOriginal(members);
    const others = members.filter((file) => file !== original);
    const guessed = others.some((file) => stemOf(file.path) !== stemOf(original.path));
    return { original, others: others.sort((a, b) => (a.path < b.path ? -1 : 1)), guessed };
  });
}

/** Whether a file may have been made of a group's original: it cannot be read, or looks like a copy. */
function isHost(members: readonly FileFacts[], file: FileFacts): boolean {
  const original = findOriginal(members);
  if (original.problem !== undefined || dirname(original.path) !== dirname(file.path)) return false;
  if (file.problem !== undefined) return true;
  if (file.signature !== original.signature) return false;
  // Two 4-bit weights share a byte, and scales come on top: only models that are not quantized are counted exactly.
  const ratio = file.elements! / Math.max(original.elements!, 1);
  return file.quantized || original.quantized || (ratio > 0.9 && ratio < 1.1);
}

function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

function findOriginal(members: readonly FileFacts[]): FileFacts {
  const stems = members.map(({ path }) => stemOf(path));
  // "model" among "model.new" and "model-v2": the name that the others start with.
  const heads = (file: FileFacts): number => stems.filter((stem) => stem.startsWith(stemOf(file.path))).length;
  return [...members].sort(
    (a, b) =>
      rankAsOriginal(b) - rankAsOriginal(a) ||
      heads(b) - heads(a) ||
      b.byteLength - a.byteLength ||
      (a.path < b.path ? -1 : 1),
  )[0]!;
}

/** How much a file looks like one that nobody has changed. */
function rankAsOriginal({ path, kind, problem, quantized }: FileFacts): number {
  if (problem !== undefined) return kind === undefined ? 1 : 0;
  const named = /^(model|original)$|(original|fp32|float32)$/.test(basename(path, ".onnx")) ? 1 : 0;
  return 2 + (kind === undefined ? 4 : 0) + (quantized ? 0 : 2) + named;
}
