/**
 * @file Folders of images: decoded by sharp, labelled by their folders or a table, brought into the model's form.
 */
import { readdir } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { InputError, messageOf, UnsupportedError } from "../util/errors.ts";
import { fromItems } from "./combine.ts";
import { besideModel, byName, readJson, readText } from "./files-node.ts";
import { type Labels, labelsFromFolders, labelsFromTable, parseClasses } from "./labels.ts";
import type { LoadSpec } from "./load-spec.ts";
import { createPreprocessor, type Preprocessor } from "./preprocess.ts";
import { isPreset, type Preprocess, type PresetName, parsePreprocess } from "./preprocess-spec.ts";
import type { Image } from "./resize.ts";

export const IMAGE_EXTENSIONS = [".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".tif", ".tiff", ".bmp"];

const area = "data";

/** Images in a folder and the folders in it, relative to it, in natural order. Hidden ones are passed over. */
export async function findImages(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const root = resolve(folder);
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) =>
      resolve(path)
        .slice(root.length + 1)
        .replaceAll("\\", "/"),
    )
    .filter((file) => IMAGE_EXTENSIONS.includes(extname(file).toLowerCase()))
    .filter((file) => !file.split("/").some((part) => part.startsWith(".")))
    .sort(byName);
}

/** A source of images; `classes` are the names of the labels' indices. */
export interface ImageSource extends DataSource {
  readonly classes?: readonly string[];
  /** An image's label by its position. */
  readonly groupOf?: (index: number) => unknown;
}

/**
 * Opens images.
 * @param files relative to `folder`.
 * @throws InputError, OptionError where specification, labels and model do not fit; while iterating, for files that are no
 * images. UnsupportedError where sharp is not installed.
 */
export async function openImages(
  folder: string,
  files: readonly string[],
  ports: readonly Port[],
  spec: LoadSpec,
  subject: string,
): Promise<ImageSource> {
  const decode = await loadDecoder();
  const classes = spec.classes === undefined ? undefined : parseClasses(await readText(spec.classes), spec.classes);
  const labels = await readLabels(files, classes, spec, subject);
  const items: readonly { readonly file: string; readonly label?: number | string }[] =
    labels?.items ?? files.map((file) => ({ file }));
  const preprocess = spec.preprocess ?? besideModel(spec.model, "preprocessor_config.json");
  const preprocessor = await readPreprocessor(preprocess, ports, subject);
  const counted = [
    items.length < files.length ? `${items.length} of ${files.length} images` : `${items.length} images`,
    ...(labels?.classes ? [`${labels.classes.length} classes`] : labels ? ["labelled"] : []),
  ];
  const source = typeof preprocess === "string" ? `by ${basename(preprocess)}` : undefined;
  const how = source ?? (preprocess === undefined ? "assumed" : "as specified");
  const name = `${subject} (${counted.join(", ")}; ${how}: ${preprocessor.description})`;
  const { port } = preprocessor;
  return {
    ...fromItems(name, items.length, async (index) => {
      const { file, label } = items[index]!;
      const tensor = preprocessor.run(await decode(join(folder, file)));
      return { inputs: { [port.name]: tensor }, ...(label !== undefined && { label }) };
    }),
    classes: labels?.classes,
    // Texts are as good as all different.
    ...(spec.textLabels !== true && { groupOf: (index) => items[index]!.label }),
  };
}

async function readLabels(
  files: readonly string[],
  classes: readonly string[] | undefined,
  spec: LoadSpec,
  subject: string,
): Promise<Labels | undefined> {
  if (spec.labels === undefined) return labelsFromFolders(files, classes, subject);
  const labels = labelsFromTable(await readText(spec.labels), classes, spec.labels, spec.textLabels);
  const known = new Set(files);
  const missing = labels.items.find(({ file }) => !known.has(file));
  if (missing === undefined) return labels;
  throw new InputError({
    area,
    subject: spec.labels,
    problem: `expected files of ${subject}, got ${missing.file}, which is no image there`,
    help: "Give paths relative to the folder of images.",
  });
}

/** What `--preprocess` says, or the file beside the model, for these inputs. */
export async function readPreprocessor(
  given: LoadSpec["preprocess"],
  ports: readonly Port[],
  subject: string,
): Promise<Preprocessor> {
  let spec: Preprocess | PresetName | undefined;
  let where = subject;
  if (typeof given === "string" && isPreset(given)) spec = given;
  else if (typeof given === "string") {
    where = given;
    spec = parsePreprocess(await readJson(given), given);
  } else if (given !== undefined) spec = parsePreprocess(given, "preprocess");
  return createPreprocessor(spec, ports, where);
}

/**
 * Decodes an image to RGB as browsers show it: turned as its camera says, its colour profile applied. Opacity is dropped,
 * as Pillow's convert("RGB") does; of an animation the first picture counts.
 */
async function loadDecoder(): Promise<(path: string) => Promise<Image>> {
  const { default: sharp } = await import("sharp").catch((cause) => {
    throw new UnsupportedError({
      area,
      subject: "sharp",
      problem: `expected the package that decodes images, got: ${messageOf(cause).split("\n")[0]}`,
      help: "Install it: npm install sharp",
      cause,
    });
  });
  return async (path) => {
    try {
      const { data, info } = await sharp(path, { failOn: "error" })
        .autoOrient()
        .toColourspace("srgb")
        .removeAlpha()
        .raw({ depth: "uchar" })
        .toBuffer({ resolveWithObject: true });
      return { width: info.width, height: info.height, channels: info.channels, data };
    } catch (cause) {
      throw new InputError({
        area,
        subject: path,
        problem: `expected an image that sharp reads, got: ${messageOf(cause).split("\n")[0]}`,
        help: "Convert it to PNG, or take it out of the folder.",
        cause,
      });
    }
  };
}
