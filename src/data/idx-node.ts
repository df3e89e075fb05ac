/**
 * @file Image sets in IDX files (MNIST, Fashion-MNIST, …), packed by gzip or not, with the labels beside them. Node only.
 */
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { Port } from "../runtime/runtime.ts";
import { FormatError, InputError, messageOf } from "../util/errors.ts";
import { readText } from "./files-node.ts";
import { asPictures, decodeIdxImages, decodeIdxLabels, idxSource, isFlat, type LabelledImages } from "./idx-source.ts";
import { readPreprocessor } from "./images-node.ts";
import { parseClasses } from "./labels.ts";
import type { LoadSpec } from "./load-spec.ts";
import type { Part } from "./module-node.ts";

/** A gzip file that unpacks to more is refused: the largest set of this kind (EMNIST) has 0.55 GB. */
const MAX_UNPACKED_BYTES = 2 ** 31;

/** "train-images-idx3-ubyte", "t10k-images.idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte.gz". */
const IMAGES = /^(.*?)[-._]?images?[-._]idx[34]-ubyte(?:\.gz)?$/i;

/** How the sets of one folder are called: for training and for tests. */
const SETS: readonly { readonly part: Part; readonly pattern: RegExp }[] = [
  { part: "calibration", pattern: /(^|[-._])train$/i },
  { part: "evaluation", pattern: /(^|[-._])(t10k|test)$/i },
];

const area = "data";

export const isIdx = (name: string): boolean => IMAGES.test(name) || /[-._]idx\d-ubyte(\.gz)?$/i.test(name);

export interface IdxSource extends LabelledImages {
  readonly classes?: readonly string[];
  readonly part?: Part;
}

/**
 * The file of a folder for a part: for calibration and training the training set, for evaluation the test set where there
 * is one. Undefined where there are no such files.
 * @throws InputError where the folder has several sets.
 */
export function chooseIdx(
  names: readonly string[],
  part: Part,
  folder: string,
): { readonly file: string; readonly part?: Part } | undefined {
  // Of two that are the same, the one that is unpacked.
  const packed = (name: string): boolean => /\.gz$/i.test(name) && names.includes(name.slice(0, -3));
  const files = names.filter((name) => IMAGES.test(name) && !packed(name));
  if (files.length === 0) return undefined;
  const found = SETS.map((set) => ({
    ...set,
    files: files.filter((name) => set.pattern.test(IMAGES.exec(name)![1]!)),
  }));
  const asked = found.find((set) => set.part === part)!;
  const other = found.find((set) => set.part !== part)!;
  const [first, ...more] = asked.files.length > 0 ? asked.files : other.files.length > 0 ? other.files : files;
  if (more.length > 0) {
    throw new InputError({
      area,
      subject: folder,
      problem: `expected one set of images, got ${[first, ...more].join(", ")}`,
      help: "Give the file of images itself.",
    });
  }
  const set = found.find((entry) => entry.files.includes(first!));
  return { file: first!, part: set?.part };
}

/**
 * Opens a set of images: uint8 [count, height, width] or [count, height, width, channels]. Labels are in the file that
 * `spec.labels` names, else beside it ("…-labels-idx1-ubyte" for "…-images-idx3-ubyte"), or there are none.
 * @throws InputError, OptionError, FormatError where files, specification and model do not fit.
 */
export async function openIdx(path: string, ports: readonly Port[], spec: LoadSpec): Promise<IdxSource> {
  const images = decodeIdxImages(await readIdx(path), path);
  const labels = await readLabels(path, spec.labels, images.dims[0]!);
  const classes = spec.classes === undefined ? undefined : parseClasses(await readText(spec.classes), spec.classes);
  const name = basename(path);
  const preprocessor = await readPreprocessor(spec.preprocess, asPictures(ports, images, name), name);
  const how = spec.preprocess === undefined ? "assumed" : "as specified";
  return {
    ...idxSource(images, labels, { name, flat: isFlat(ports), preprocessor, how }),
    ...(classes !== undefined && { classes }),
  };
}

async function readLabels(
  path: string,
  given: string | undefined,
  count: number,
): Promise<readonly number[] | undefined> {
  const beside = basename(path).replace(/images?([-._])idx\d/i, "labels$1idx1");
  const names = beside === basename(path) ? [] : [beside, beside.replace(/\.gz$/i, ""), `${beside}.gz`];
  const candidates = given === undefined ? names.map((name) => join(dirname(path), name)) : [given];
  for (const candidate of candidates) {
    const bytes = await readIdx(candidate).catch((error) => {
      if (
        given === undefined &&
        error instanceof InputError &&
        (error.cause as NodeJS.ErrnoException)?.code === "ENOENT"
      )
        return undefined;
      throw error;
    });
    if (bytes === undefined) continue;
    return decodeIdxLabels(bytes, candidate, count);
  }
  return undefined;
}

/** A file, unpacked where it is gzip's. */
async function readIdx(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((cause) => {
    throw new InputError({ area, subject: path, problem: `cannot be read: ${messageOf(cause)}`, cause });
  });
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  return promisify(gunzip)(bytes, { maxOutputLength: MAX_UNPACKED_BYTES }).catch((cause) => {
    const tooLarge = (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw new FormatError({
      area: "idx",
      subject: path,
      problem: tooLarge
        ? `expected at most ${MAX_UNPACKED_BYTES} bytes unpacked, got more`
        : `expected a whole gzip file, got one that is cut off or damaged (${messageOf(cause)})`,
      help: tooLarge ? undefined : "Download it again.",
      cause,
    });
  });
}
