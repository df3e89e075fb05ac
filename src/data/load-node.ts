/**
 * @file The user's data from the file system, whatever their kind: arrays, images, texts, or a module. Node only.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { InputError, messageOf, OptionError } from "../util/errors.ts";
import { type ArrayFile, type ArrayKind, fileOnDisk, filesInZip, openArrays } from "./arrays-node.ts";
import { batch, type Collate, LEAST_FRESH, limit, shuffle, skip } from "./combine.ts";
import { byName } from "./files-node.ts";
import { chooseIdx, isIdx, openIdx } from "./idx-node.ts";
import { findImages, IMAGE_EXTENSIONS, openImages } from "./images-node.ts";
import { checkKind, checkSpec, type LoadSpec } from "./load-spec.ts";
import { MODULE_EXTENSIONS, openModule, type Part, type Score } from "./module-node.ts";
import { checkInputs } from "./source.ts";
import { openTexts, TEXT_EXTENSIONS } from "./text-node.ts";

/** A data source, with the score function of the module it came from. */
export interface LoadedData extends DataSource {
  readonly score?: Score;
  /** The function of a module, or the set of a folder of idx files, that was taken. */
  readonly part?: Part;
  /** Names of the labels' indices, where folders, a table or a file named them. */
  readonly classes?: readonly string[];
}

/** @see LOAD_OPTIONS for what depends on the kind of data. */
export interface LoadOptions extends LoadSpec {
  /** The model's inputs, which every sample is checked against. */
  readonly inputs: readonly Port[];
  /** Samples to pass over, before any are put together in batches. Default 0. */
  readonly skip?: number;
  /** Only so many samples, at least 1; counted before batches are made. Default: all. */
  readonly limit?: number;
  /**
   * Which function of a module: default "calibration". Where the module has only the other one, that is taken. Of a folder
   * of idx files: the training set, or the test set for "evaluation".
   */
  readonly part?: Part;
}

const area = "data";
const KINDS = ".npz, .npy, images, idx files (MNIST), .jsonl or .txt, or a module";

/** What a path turned out to be. */
interface Opened extends LoadedData {
  readonly collate?: Collate;
  /** Samples that Tersor makes, one at a time: a batch dimension that the model fixes is filled. */
  readonly single?: boolean;
  readonly shuffled?: boolean;
  /** The class of a sample by its position. */
  readonly groupOf?: (index: number) => unknown;
}

/**
 * Opens the data at `path`:
 * - a folder, zip archive or file of .npz (one sample each: arrays by input name; an extra array `label` is the label) or
 *   .npy (models with one input),
 * - a folder of images, or one image; labels from the names of its folders or a table,
 * - a folder with idx files, or one of them (MNIST, Fashion-MNIST; .gz or not); labels from the file beside it,
 * - texts, one a line (.jsonl or .txt), with a tokenizer,
 * - a module that exports `calibration()` or `evaluation()` (an iterable, async iterable or array of
 *   `{ inputs, label? }`) and optionally `score(outputs, sample)`.
 *
 * Samples are read one at a time while iterating: files in natural order of their names, images shuffled with their
 * classes spread evenly (the same order for the same seed), lines as they stand.
 * @throws InputError where there is no such data; while iterating, where a sample does not fit the model.
 * @throws OptionError for options of another kind of data, or that the model does not allow.
 * @throws FormatError while iterating, for files that are not what their name says.
 */
export async function loadData(path: string, options: LoadOptions): Promise<LoadedData> {
  const { source, finish } = await open(path, options);
  return finish(partOf(source, options.skip ?? 0, options.limit));
}

function partOf(source: DataSource, from: number, count: number | undefined): DataSource {
  const rest = skip(source, from);
  return count === undefined ? rest : limit(rest, count);
}

/** Samples to compare on, and whether calibration has seen them. */
export interface EvaluationData {
  readonly source: LoadedData;
  /** Fewer than {@link LEAST_FRESH} others were left, or nobody knows how many there are. */
  readonly seenBefore: boolean;
}

/**
 * Opens the samples after the first `skip`, which calibration has seen; all of them where too few are left. A module with
 * `evaluation()` and a folder with a test set have samples of their own.
 */
export async function loadEvaluation(path: string, options: LoadOptions): Promise<EvaluationData> {
  const { source, finish } = await open(path, { ...options, part: "evaluation" });
  const seen = options.skip ?? 0;
  const apart = source.part === "evaluation";
  const enough = apart || (source.length !== undefined && source.length - seen >= LEAST_FRESH);
  const from = enough && !apart ? seen : 0;
  return { source: finish(partOf(source, from, options.limit)), seenBefore: seen > 0 && !enough };
}

/** The data in their order, and what is done with a part of them at last. */
async function open(
  path: string,
  options: LoadOptions,
): Promise<{ readonly source: Opened; readonly finish: (part: DataSource) => LoadedData }> {
  checkSpec(options);
  const { limit: most } = options;
  if (most !== undefined && !(Number.isInteger(most) && most >= 1)) {
    throw new OptionError({ area, subject: "limit", problem: `expected a whole number from 1 up, got ${most}` });
  }
  const fixed = fixedBatch(options.inputs);
  const wanted = options.batch;
  // What is put together is checked afterwards for the first dimension, before for everything else.
  const loose = options.inputs.map((port) => ({
    ...port,
    shape: port.shape?.map((dim, axis) => (axis === 0 ? null : dim)),
  }));
  const opened = await openKind(path, wanted === undefined || wanted === 1 ? options : { ...options, inputs: loose });
  const size = wanted ?? (opened.single ? (fixed ?? 1) : 1);
  if (wanted !== undefined && fixed !== undefined && wanted !== fixed) {
    throw new OptionError({
      area,
      subject: `${path}: batch`,
      problem: `expected ${fixed}, as the model's inputs fix it, got ${wanted}`,
      help: fixed === 1 ? "Leave --batch out." : undefined,
    });
  }
  const shuffled = options.shuffle ?? opened.shuffled === true;
  const { score, part, classes, collate } = opened;
  const ordered = shuffled ? shuffle(opened, options.seed ?? 0, opened.groupOf) : opened;
  const finish = (some: DataSource): LoadedData => {
    const batched = batch(some, size, collate, fixed !== undefined);
    if (batched.length === 0) {
      const problem = `expected at least ${size} samples for one batch, got ${some.length}`;
      throw new InputError({ area, subject: path, problem, help: "Give more samples." });
    }
    const checked = opened.single || size > 1 ? fitting(batched, options.inputs, path) : batched;
    const name = shuffled ? `${checked.name}, shuffled` : checked.name;
    return { ...checked, name, score, part, classes };
  };
  return { source: { ...opened, ...ordered }, finish };
}

/** The batch size that all inputs fix. */
function fixedBatch(ports: readonly Port[]): number | undefined {
  const [first, ...others] = ports.map(({ shape }) => shape?.[0]);
  return typeof first === "number" && first > 0 && others.every((dim) => dim === first) ? first : undefined;
}

/** Samples that Tersor made, checked as the user's own are. */
function fitting(source: DataSource, ports: readonly Port[], path: string): DataSource {
  return {
    ...source,
    at: undefined,
    async *samples() {
      let index = 0;
      for await (const sample of source.samples()) {
        yield { ...sample, inputs: checkInputs(sample.inputs, ports, `${path}, sample ${++index}`) };
      }
    },
  };
}

async function openKind(path: string, options: LoadOptions): Promise<Opened> {
  const { inputs, part = "calibration" } = options;
  const info = await stat(path).catch((cause) => {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new InputError({
      area,
      subject: path,
      problem: missing ? "expected a file or folder, got a path where there is none" : messageOf(cause),
      help: `Give a folder or file of ${KINDS}.`,
      cause,
    });
  });
  if (info.isDirectory()) return openFolder(path, options);
  const extension = extname(path).toLowerCase();
  if (MODULE_EXTENSIONS.includes(extension)) {
    checkKind(options, "module", path);
    return openModule(path, inputs, part);
  }
  if (extension === ".npz" || extension === ".npy") {
    return arrays(basename(path), [fileOnDisk(path)], extension, options);
  }
  if (extension === ".zip") {
    const { files, kind } = await filesInZip(path);
    return arrays(`${basename(path)} (${count(files.length, `${kind} file`)})`, files, kind, options);
  }
  if (TEXT_EXTENSIONS.includes(extension)) {
    checkKind(options, "texts", path);
    return { ...(await openTexts(path, inputs, options)), single: true };
  }
  if (isIdx(basename(path))) return idx(path, options);
  if (IMAGE_EXTENSIONS.includes(extension)) return images(dirname(path), [basename(path)], basename(path), options);
  throw new InputError({
    area,
    subject: path,
    problem: `expected ${KINDS} (${MODULE_EXTENSIONS.join(" ")}), got ${extension || "no extension"}`,
    help: "Save samples with numpy.savez(path, input_name=array, …), or write a module that exports calibration().",
  });
}

function arrays(name: string, files: readonly ArrayFile[], kind: ArrayKind, options: LoadOptions): Opened {
  checkKind(options, "arrays", name);
  return openArrays(name, files, kind, options.inputs);
}

async function images(folder: string, files: readonly string[], name: string, options: LoadOptions): Promise<Opened> {
  checkKind(options, "images", name);
  return { ...(await openImages(folder, files, options.inputs, options, name)), single: true, shuffled: true };
}

async function idx(path: string, options: LoadOptions): Promise<Opened> {
  checkKind(options, "images", basename(path));
  return { ...(await openIdx(path, options.inputs, options)), single: true, shuffled: true };
}

async function openFolder(folder: string, options: LoadOptions): Promise<Opened> {
  // Names with a leading dot are the system's (".DS_Store", "._1.npz").
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort(byName);
  const withExtension = (extension: string) => names.filter((name) => extname(name).toLowerCase() === extension);
  const npz = withExtension(".npz");
  const npy = withExtension(".npy");
  const name = `${basename(resolve(folder))}/`;
  if (npz.length > 0 !== npy.length > 0) {
    const [kind, files]: [ArrayKind, string[]] = npz.length > 0 ? [".npz", npz] : [".npy", npy];
    const onDisk = files.map((file) => fileOnDisk(join(folder, file)));
    return arrays(`${name} (${count(files.length, `${kind} file`)})`, onDisk, kind, options);
  }
  if (npz.length > 0) {
    throw new InputError({
      area,
      subject: folder,
      problem: `expected either .npz or .npy files, got ${npz.length} and ${npy.length}`,
      help: "Move one kind elsewhere.",
    });
  }
  const set = chooseIdx(names, options.part ?? "calibration", folder);
  if (set !== undefined) return { ...(await idx(join(folder, set.file), options)), part: set.part };
  const pictures = await findImages(folder);
  if (pictures.length > 0) return images(folder, pictures, name, options);
  const found = names.length === 0 ? "an empty folder" : names.slice(0, 3).join(", ") + (names.length > 3 ? ", …" : "");
  throw new InputError({
    area,
    subject: folder,
    problem: `expected .npz or .npy files, or images, got ${found}`,
    help: "Save one .npz per sample with numpy.savez(path, input_name=array, …). Only images are looked for in its folders.",
  });
}

function count(total: number, what: string): string {
  return `${total} ${what}${total === 1 ? "" : "s"}`;
}
