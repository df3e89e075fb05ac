/**
 * @file The user's data from the file system: .npz and .npy files, or a module. Node only.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Port, Tensors } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { InputError, messageOf, OptionError } from "../util/errors.ts";
import { decodeNpy } from "./npy.ts";
import { decodeNpz } from "./npz.ts";
import { checkInputs, describePort } from "./source.ts";

/** A user's measure of one sample's outputs: higher is better. */
export type Score = (outputs: Tensors, sample: Sample) => number | Promise<number>;

/** A data source, with the score function of the module it came from. */
export interface LoadedData extends DataSource {
  readonly score?: Score;
  /** The function of a module that was taken. */
  readonly part?: "calibration" | "evaluation";
}

export interface LoadOptions {
  /** The model's inputs, which every sample is checked against. */
  readonly inputs: readonly Port[];
  /** Only the first samples, at least 1. Default: all. */
  readonly limit?: number;
  /** Which function of a module: default "calibration". Where the module has only the other one, that is taken. */
  readonly part?: "calibration" | "evaluation";
}

const MODULES = [".js", ".mjs", ".ts", ".mts", ".cjs"];
const area = "data";

/** "2.npz" before "10.npz"; the same order on every machine. */
const collator = new Intl.Collator("en", { numeric: true });
const byName = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : 1);

/**
 * Opens the data at `path`: a folder or file of .npz (one sample each: arrays by input name, an extra array `label` is
 * the label), a folder or file of .npy (one sample each, for models with one input), or a module that exports
 * `calibration()` or `evaluation()` (an iterable, async iterable or array of `{ inputs, label? }`) and optionally
 * `score(outputs, sample)`. Files are read one at a time while iterating, in natural order of their names.
 * @throws InputError where there is no such data; while iterating, where a sample does not fit the model.
 * @throws FormatError while iterating, for files that are not what their name says.
 */
export async function loadData(path: string, options: LoadOptions): Promise<LoadedData> {
  const { limit } = options;
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
    throw new OptionError({ area, subject: "limit", problem: `expected a whole number from 1 up, got ${limit}` });
  }
  const info = await stat(path).catch((cause) => {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new InputError({
      area,
      subject: path,
      problem: missing ? "expected a file or folder, got a path where there is none" : messageOf(cause),
      help: "Give a folder or file of .npz or .npy, or a module.",
      cause,
    });
  });
  if (info.isDirectory()) return openFolder(path, options);
  const extension = extname(path).toLowerCase();
  if (MODULES.includes(extension)) return openModule(path, options);
  if (extension === ".npz" || extension === ".npy") return openFiles(basename(path), [path], extension, options);
  throw new InputError({
    area,
    subject: path,
    problem: `expected .npz, .npy or a module (${MODULES.join(" ")}), got ${extension || "no extension"}`,
    help: "Save samples with numpy.savez(path, input_name=array, …), or write a module that exports calibration().",
  });
}

async function openFolder(folder: string, options: LoadOptions): Promise<LoadedData> {
  // Names with a leading dot are the system's (".DS_Store", "._1.npz").
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort(byName);
  const withExtension = (extension: string) => names.filter((name) => extname(name).toLowerCase() === extension);
  const npz = withExtension(".npz");
  const npy = withExtension(".npy");
  if (npz.length > 0 === npy.length > 0) {
    const found =
      names.length === 0 ? "an empty folder" : names.slice(0, 3).join(", ") + (names.length > 3 ? ", …" : "");
    throw new InputError({
      area,
      subject: folder,
      problem:
        npz.length > 0
          ? `expected either .npz or .npy files, got ${npz.length} and ${npy.length}`
          : `expected .npz or .npy files, got ${found}`,
      help:
        npz.length > 0
          ? "Move one kind elsewhere."
          : "Save one .npz per sample with numpy.savez(path, input_name=array, …). Folders in it are not searched.",
    });
  }
  const extension = npz.length > 0 ? ".npz" : ".npy";
  const files = npz.length > 0 ? npz : npy;
  const name = `${basename(resolve(folder))}/ (${count(files.length, `${extension} file`, options.limit)})`;
  return openFiles(
    name,
    files.map((file) => join(folder, file)),
    extension,
    options,
  );
}

function count(total: number, what: string, limit: number | undefined): string {
  const some = limit !== undefined && limit < total ? `${limit} of ` : "";
  return `${some}${total} ${what}${total === 1 ? "" : "s"}`;
}

function openFiles(name: string, all: readonly string[], kind: ".npz" | ".npy", options: LoadOptions): LoadedData {
  const { inputs, limit = all.length } = options;
  if (kind === ".npy" && inputs.length !== 1) {
    throw new InputError({
      area,
      subject: name,
      problem: `expected .npz files, got .npy, which hold one array, for a model with ${inputs.length} inputs`,
      help: `Save one .npz per sample with ${inputs.map(describePort).join(", ")}.`,
    });
  }
  const files = all.slice(0, limit);
  return {
    name,
    length: files.length,
    async *samples() {
      for (const file of files) yield await readSample(file, kind, inputs);
    },
  };
}

async function readSample(file: string, kind: ".npz" | ".npy", ports: readonly Port[]): Promise<Sample> {
  const bytes = await readFile(file).catch((cause) => {
    throw new InputError({ area, subject: file, problem: `cannot be read: ${messageOf(cause)}`, cause });
  });
  if (kind === ".npy") return { inputs: checkInputs({ [ports[0]!.name]: decodeNpy(bytes, file) }, ports, file) };
  const arrays = decodeNpz(bytes, file);
  if (!("label" in arrays) || ports.some((port) => port.name === "label")) {
    return { inputs: checkInputs(arrays, ports, file) };
  }
  const { label, ...inputs } = arrays;
  return { inputs: checkInputs(inputs, ports, file), label };
}

async function openModule(path: string, options: LoadOptions): Promise<LoadedData> {
  const { inputs, limit = Number.POSITIVE_INFINITY, part = "calibration" } = options;
  const exports = (await import(pathToFileURL(resolve(path)).href).catch((cause) => {
    const typescript = (cause as NodeJS.ErrnoException).code === "ERR_UNKNOWN_FILE_EXTENSION";
    throw new InputError({
      area,
      subject: path,
      problem: typescript
        ? "expected a module that this Node loads, got TypeScript"
        : `cannot be loaded: ${messageOf(cause)}`,
      help: typescript ? "Node loads TypeScript from version 22.18 on; before that, compile it to .mjs." : undefined,
      cause,
    });
  })) as Record<string, unknown>;
  const other = part === "calibration" ? "evaluation" : "calibration";
  const used = typeof exports[part] === "function" ? part : other;
  const produce = exports[used];
  if (typeof produce !== "function") {
    throw new InputError({
      area,
      subject: path,
      problem: `expected an exported function calibration() or evaluation(), got exports ${Object.keys(exports).join(", ") || "none"}`,
      help: "Write: export function* calibration() { yield { inputs: { name: { dims, data } } }; }",
    });
  }
  const { score } = exports;
  if (score !== undefined && typeof score !== "function") {
    throw new InputError({ area, subject: path, problem: `expected score(outputs, sample), got a ${typeof score}` });
  }
  return {
    name: `${used}() of ${basename(path)}`,
    score: score as Score | undefined,
    part: used,
    async *samples() {
      let index = 0;
      const subject = `${used}() of ${path}`;
      const samples = guarded(async function* () {
        yield* iterate(await produce(), subject);
      }, subject);
      for await (const sample of samples) {
        yield checkSample(sample, inputs, `${subject}, sample ${index + 1}`);
        if (++index >= limit) return;
      }
      if (index === 0) {
        throw new InputError({ area, subject: path, problem: `expected samples from ${used}(), got none` });
      }
    },
  };
}

/** What the user's function throws, with the place where it did: not an error of ours. */
async function* guarded(produce: () => AsyncIterable<unknown>, subject: string): AsyncIterable<unknown> {
  try {
    yield* produce();
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const where =
      cause instanceof Error ? /\(?((?:file:\/\/)?\/[^()\s]+:\d+):\d+\)?/.exec(cause.stack ?? "")?.[1] : undefined;
    const problem = `it threw ${cause instanceof Error ? cause.name : "an error"}: ${messageOf(cause)}`;
    throw new InputError({
      area,
      subject,
      problem: where === undefined ? problem : `${problem} (at ${where.replace("file://", "")})`,
      help: "Correct the module.",
      cause,
    });
  }
}

function iterate(value: unknown, subject: string): Iterable<unknown> | AsyncIterable<unknown> {
  if (value !== null && typeof value === "object" && (Symbol.iterator in value || Symbol.asyncIterator in value)) {
    return value as Iterable<unknown> | AsyncIterable<unknown>;
  }
  throw new InputError({ area, subject, problem: `expected an iterable of samples, got ${typeof value}` });
}

function checkSample(sample: unknown, ports: readonly Port[], subject: string): Sample {
  const { inputs, label } = (sample ?? {}) as { inputs?: unknown; label?: unknown };
  if (inputs === null || typeof inputs !== "object") {
    const got = sample !== null && typeof sample === "object" ? Object.keys(sample).join(", ") : String(sample);
    throw new InputError({
      area,
      subject,
      problem: `expected { inputs: { name: tensor }, label? }, got ${got || "an empty object"}`,
      help: `The model takes ${ports.map(describePort).join(", ")}.`,
    });
  }
  const checked = checkInputs(inputs as Record<string, unknown>, ports, subject);
  return label === undefined ? { inputs: checked } : { inputs: checked, label };
}
