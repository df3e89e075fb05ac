/**
 * @file Judges model files that somebody made: finds the original among them, and says of each other file whether it
 * loads, agrees, is faster, and is as small as its kind should be.
 */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { externalLocations } from "../onnx/external-data.ts";
import { readModelFile } from "../onnx/file-node.ts";
import { TARGETS, type TargetName } from "../runtime/targets.ts";
import { InputError, messageOf } from "../util/errors.ts";
import { formatRatio } from "../util/format.ts";
import { type VerifyOptions, verifyFiles } from "./isolated.ts";
import type { DataSpec, FileMeasurement, TargetMeasurement } from "./job.ts";
import { judge } from "./judge.ts";

/** Kinds of files by the suffix that transformers.js and optimum give them, and the size that such a file may have. */
const KINDS: readonly { readonly suffix: RegExp; readonly kind: string; readonly expected: number }[] = [
  { suffix: /_fp16$|[._-]float16$/, kind: "fp16", expected: 0.5 },
  { suffix: /_q4f16$/, kind: "q4f16", expected: 0.2 },
  { suffix: /_q4$|[._-]int4$/, kind: "q4", expected: 0.2 },
  { suffix: /_bnb4$/, kind: "bnb4", expected: 0.2 },
  { suffix: /_quantized$|_q8$|_int8$|_uint8$|[._-]u?int8$|[._-]quant(ized)?$/, kind: "8 bits", expected: 0.25 },
];

/** How much larger than its kind's ideal a file may be: embeddings and small tensors often stay in float. */
const SIZE_SLACK = 2;

export interface DoctorFile {
  readonly path: string;
  readonly kind: string | undefined;
  readonly byteLength: number;
  /** Against the original's size. */
  readonly ratio: number | undefined;
  readonly perTarget: Readonly<Record<string, FileMeasurement>>;
  readonly problems: readonly { readonly target?: TargetName; readonly text: string }[];
  /** False: does not load or run, or disagrees with the original, on some target. */
  readonly usable: boolean;
}

export interface DoctorGroup {
  readonly original: DoctorFile;
  readonly others: readonly DoctorFile[];
  readonly targets: readonly TargetMeasurement[];
}

export interface DoctorOptions extends VerifyOptions {
  readonly targets: readonly TargetName[];
  readonly data: DataSpec;
  readonly threads: number;
  readonly budgetMs: number;
  readonly seed: number;
  /** Name this file as the original instead of finding it. */
  readonly original?: string;
}

/** Groups of files that belong together: an original and what was made of it. */
export interface Family {
  readonly original: string;
  readonly others: readonly string[];
}

/** @throws InputError where there are no .onnx files. */
export function findFamilies(path: string, original?: string): Family[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    throw new InputError({ area: "doctor", subject: path, problem: "expected a file or folder, found nothing there" });
  }
  const files = stat.isDirectory() ? listModels(path) : siblings(path);
  if (files.length === 0) {
    throw new InputError({
      area: "doctor",
      subject: path,
      problem: "expected .onnx files, found none",
      help: "Give a folder with models (also in its folder onnx/), or one file.",
    });
  }
  const families = new Map<string, string[]>();
  for (const file of files) {
    const key = join(dirname(file), stemOf(file));
    families.set(key, [...(families.get(key) ?? []), file]);
  }
  const lone = [...families.values()].filter((members) => members.length === 1).length;
  // Names that tell nothing: all files of the folder are one family.
  const groups = original !== undefined || lone > 1 ? byFolder(files, families) : [...families.values()];
  return groups.map((members) => {
    const chosen = original ?? members.find((file) => kindOf(file) === undefined) ?? largest(members);
    const same = members.find((file) => basename(file) === basename(chosen) && dirname(file) === dirname(chosen));
    return { original: same ?? chosen, others: members.filter((file) => file !== (same ?? chosen)) };
  });
}

/** Families by name where some have several members, the lone rest of a folder as one family. */
function byFolder(files: readonly string[], families: ReadonlyMap<string, readonly string[]>): string[][] {
  const groups = [...families.values()].filter((members) => members.length > 1).map((members) => [...members]);
  const grouped = new Set(groups.flat());
  const rest = files.filter((file) => !grouped.has(file));
  const folders = new Map<string, string[]>();
  for (const file of rest) folders.set(dirname(file), [...(folders.get(dirname(file)) ?? []), file]);
  return [...groups, ...folders.values()];
}

function listModels(folder: string): string[] {
  const here = readdirSync(folder, { withFileTypes: true });
  const files = here
    .filter((entry) => !entry.isDirectory() && isModel(entry.name))
    .map((entry) => join(folder, entry.name));
  const nested = here.some((entry) => entry.isDirectory() && entry.name === "onnx")
    ? listModels(join(folder, "onnx"))
    : [];
  return [...files, ...nested].sort();
}

function isModel(name: string): boolean {
  return name.endsWith(".onnx") && !name.startsWith(".");
}

/** A single file is judged against the original beside it. */
function siblings(file: string): string[] {
  const family = listModels(dirname(file)).filter((other) => stemOf(other) === stemOf(file));
  const original = family.find((other) => kindOf(other) === undefined);
  return original === undefined || original === file ? [file] : [original, file];
}

function stemOf(file: string): string {
  const name = basename(file, ".onnx");
  for (const { suffix } of KINDS) if (suffix.test(name)) return name.replace(suffix, "");
  return name;
}

function kindOf(file: string): (typeof KINDS)[number] | undefined {
  const name = basename(file, ".onnx");
  return KINDS.find(({ suffix }) => suffix.test(name));
}

function largest(files: readonly string[]): string {
  return [...files].sort((a, b) => totalSize(b).bytes - totalSize(a).bytes)[0]!;
}

/** Bytes with external data, or the reason why the file cannot be read. */
function totalSize(path: string): { readonly bytes: number; readonly problem?: string } {
  const own = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  try {
    const { proto, external } = readModelFile(path);
    return { bytes: externalLocations(proto).reduce((sum, location) => sum + external.size(location), own) };
  } catch (error) {
    return { bytes: own, problem: messageOf(error) };
  }
}

/** Examines one family on all targets. */
export async function examine(family: Family, options: DoctorOptions): Promise<DoctorGroup> {
  const paths = [family.original, ...family.others];
  const targets: TargetMeasurement[] = [];
  for (const target of options.targets) {
    if (TARGETS[target].runtime === undefined) {
      targets.push({ target, notRunHere: TARGETS[target].notRunHere, files: [] });
      continue;
    }
    const files = paths.map((path) => ({ name: basename(path), path }));
    const { data, threads, budgetMs, seed } = options;
    targets.push(
      await verifyFiles(
        { target, files, data, threads, budgetMs: budgetMs * Math.max(1, Math.log2(files.length)), seed },
        options,
      ),
    );
  }
  const originalBytes = totalSize(family.original).bytes;
  const [original, ...others] = paths.map((path, index) => report(path, index, originalBytes, targets));
  return { original: original!, others, targets };
}

function report(path: string, index: number, originalBytes: number, targets: readonly TargetMeasurement[]): DoctorFile {
  const kind = kindOf(path);
  const size = totalSize(path);
  const perTarget: Record<string, FileMeasurement> = {};
  const problems: { target?: TargetName; text: string }[] = [];
  let usable = true;
  if (size.problem !== undefined) problems.push({ text: size.problem });
  for (const result of targets) {
    const measured = result.files[index];
    if (measured === undefined) continue;
    perTarget[result.target] = measured;
    const verdict = judge(measured, index > 0 ? result.files[0] : undefined);
    usable &&= verdict.usable;
    for (const text of verdict.problems) problems.push({ target: result.target, text });
  }
  const ratio = originalBytes > 0 ? size.bytes / originalBytes : undefined;
  if (index > 0 && ratio !== undefined && size.problem === undefined) {
    if (kind !== undefined && ratio > kind.expected * SIZE_SLACK) {
      problems.push({
        text: `larger than it should be: ${formatRatio(ratio)} of the original, where ${kind.kind} would be about ${formatRatio(kind.expected)}`,
      });
    } else if (ratio > 1.02) problems.push({ text: `larger than the original: ${formatRatio(ratio)}` });
  }
  return {
    path,
    kind: kind?.kind,
    byteLength: size.bytes,
    ratio: index === 0 ? undefined : ratio,
    perTarget,
    problems,
    usable,
  };
}
