/**
 * @file Augmentation of images: another variant of every image in every epoch, the same one for the same seed, epoch and
 * image. One table, from which types, checks and help come.
 */
import { z } from "zod";
import type { DataSource } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { hashBytes } from "../util/hash.ts";
import { createRandom, type Random } from "../util/random.ts";
import { brightness, contrast, crop, erase, mirror, type Pixels, shift } from "./augment-pixels.ts";

const area = "data";

const share = z.number().gt(0).max(1);
const strength = z.number().gt(0).lt(1);
const FILL = z.number().default(0).describe("value of pixels from outside (0 of normalized images is their mean)");
const range = (low: number, high: number) => z.tuple([z.number().gt(0), z.number().gt(0)]).default([low, high]);

type Change = (image: Pixels, random: Random) => Pixels;

/** One row: the options, whose first key is the name, and what is done with options that were checked. */
function row<Options extends z.ZodObject>(
  options: Options,
  apply: (image: Pixels, options: z.output<Options>, random: Random) => Pixels,
): { readonly options: Options; readonly bind: (given: unknown) => Change | z.core.$ZodIssue } {
  return {
    options,
    bind(given) {
      const { success, data, error } = options.safeParse(given);
      return success ? (image, random) => apply(image, data, random) : error.issues[0]!;
    },
  };
}

/** Every augmentation by its name. Values are what the model gets: after scaling and normalization, never clamped. */
export const AUGMENTATIONS = {
  shift: row(
    z.strictObject({ shift: z.int().min(1).describe("moved by up to so many pixels along both axes"), fill: FILL }),
    (image, { shift: most, fill }, random) => shift(image, most, fill, random),
  ),
  flip: row(
    z.strictObject({
      flip: z.union([z.literal(true), share]).describe("mirrored left to right: half of the images, or this share"),
    }),
    (image, { flip }, random) => (random.next() < (flip === true ? 0.5 : flip) ? mirror(image) : image),
  ),
  crop: row(
    z.strictObject({
      crop: z.int().min(0).describe("pixels added on every side before a window is cut out anywhere"),
      height: z.int().min(1).optional().describe("of the window (default: the image's)"),
      width: z.int().min(1).optional().describe("of the window (default: the image's)"),
      fill: FILL,
    }),
    (image, { crop: padding, height = image.height, width = image.width, fill }, random) => {
      if (height > image.height + 2 * padding || width > image.width + 2 * padding) {
        const problem = `expected a window of at most the image with its padding, got ${height}×${width} of ${image.height}×${image.width}`;
        throw new OptionError({ area, subject: "augment: crop", problem });
      }
      return crop(image, padding, { height, width }, fill, random);
    },
  ),
  erase: row(
    z.strictObject({
      erase: share.describe("share of the images in which a rectangle is erased"),
      area: range(0.02, 0.33).describe("smallest and largest share of the image's area"),
      aspect: range(0.3, 3.3).describe("smallest and largest height by width"),
      fill: FILL,
    }),
    (image, options, random) =>
      random.next() < options.erase ? erase(image, options.area, options.aspect, options.fill, random) : image,
  ),
  brightness: row(
    z.strictObject({ brightness: strength.describe("values times a factor from 1 − this to 1 + this") }),
    (image, options, random) => brightness(image, options.brightness, random),
  ),
  contrast: row(
    z.strictObject({
      contrast: strength.describe("distances from the image's mean times a factor from 1 − this to 1 + this"),
    }),
    (image, options, random) => contrast(image, options.contrast, random),
  ),
} as const;

export type AugmentationName = keyof typeof AUGMENTATIONS;

/** `{ shift: 1 }`, `{ flip: true }`, `{ crop: 4 }`, … */
export type Augmentation = {
  [Name in AugmentationName]: z.input<(typeof AUGMENTATIONS)[Name]["options"]>;
}[AugmentationName];

const NAMES = Object.keys(AUGMENTATIONS) as AugmentationName[];

/** The field of an option table: a list, done in this order, or its short form in text ("shift=1,flip"). */
export const AUGMENT = z
  .union([
    z.string(),
    z.array(
      z.union(
        NAMES.map((name) => AUGMENTATIONS[name].options) as unknown as [
          z.ZodType<Augmentation>,
          ...z.ZodType<Augmentation>[],
        ],
      ),
    ),
  ])
  .describe(`changes of training images, drawn anew each epoch: ${NAMES.join(", ")}; for example shift=1,flip`);

/** One that was checked, with its defaults. */
interface Checked {
  readonly name: AugmentationName;
  readonly apply: Change;
}

/** "shift=1,flip,erase=0.25" */
function fromText(text: string): unknown[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => {
      const [name = "", value] = part.split("=", 2);
      return { [name.trim()]: value === undefined ? true : Number(value) };
    });
}

/**
 * Checks a list of augmentations or its text.
 * @throws OptionError naming the one that is wrong, what was given and what is allowed.
 */
function check(augment: string | readonly Augmentation[]): readonly Checked[] {
  const items: readonly unknown[] = typeof augment === "string" ? fromText(augment) : augment;
  return items.map((item, i) => {
    const given = item !== null && typeof item === "object" ? Object.keys(item) : [];
    const name = NAMES.find((known) => given.includes(known));
    if (name === undefined) {
      const problem = `expected one of ${NAMES.join(", ")}, got ${given.join(", ") || String(item)}`;
      throw new OptionError({ area, subject: `augment ${i + 1}`, problem });
    }
    const { options, bind } = AUGMENTATIONS[name];
    const apply = bind(item);
    if (typeof apply === "function") return { name, apply };
    const key = apply.path.join(".");
    throw new OptionError({
      area,
      subject: `augment ${i + 1}: ${name}${key === "" || key === name ? "" : `: ${key}`}`,
      problem: apply.message,
      help: `${name}: ${(options.shape as Readonly<Record<string, z.ZodType>>)[name]!.description}.`,
    });
  });
}

export interface AugmenterOptions {
  /** Default 0. */
  readonly seed?: number;
  /** [channels, height, width] of models that take rows of pixels [N, features]. Default: the last three dimensions. */
  readonly shape?: readonly [channels: number, height: number, width: number];
}

/** Draws variants of images. */
export interface Augmenter {
  /** "shift, flip" */
  readonly description: string;
  /**
   * A batch, float32 [N, channels, height, width] (or [N, features] with a shape): a new tensor.
   * @param indices which images of the data these are, one per row of the batch: an image's variant depends on nothing
   * but the seed, the epoch and its index.
   * @throws InputError for tensors of another form.
   */
  batch(images: Tensor, indices: readonly number[], epoch: number): Tensor;
  /** One image, float32 [channels, height, width]. */
  image(image: Tensor, index: number, epoch: number): Tensor;
}

/**
 * @param augment a list, done in its order, or text: "shift=1,flip".
 * @throws OptionError for what is not allowed.
 */
export function createAugmenter(augment: string | readonly Augmentation[], options: AugmenterOptions = {}): Augmenter {
  const { seed = 0, shape } = options;
  const steps = check(augment);
  const one = (image: Pixels, index: number, epoch: number): Pixels =>
    steps.reduce((current, { apply }, step) => apply(current, generatorOf(seed, epoch, index, step)), image);
  const batch = (images: Tensor, indices: readonly number[], epoch: number): Tensor => {
    const [channels, height, width] = shape ?? images.dims.slice(-3);
    const size = channels! * height! * width!;
    const fits = images.dtype === "float32" && images.dims.length === (shape === undefined ? 4 : images.dims.length);
    if (!fits || images.size !== indices.length * size) {
      const wanted = shape === undefined ? "[N, channels, height, width]" : `N times ${shape.join("×")}`;
      const problem = `expected float32 ${wanted} with ${indices.length} images, got ${images}`;
      throw new InputError({ area, subject: "augment", problem });
    }
    const all = images.floats();
    const results = indices.map((index, i) => {
      const data = all.subarray(i * size, (i + 1) * size);
      return one({ channels: channels!, height: height!, width: width!, data }, index, epoch);
    });
    const [first] = results;
    const joined = new Float32Array(results.reduce((sum, { data }) => sum + data.length, 0));
    results.forEach(({ data }, i) => {
      joined.set(data, i * data.length);
    });
    const same = first === undefined || (first.height === height && first.width === width);
    return Tensor.float32(same ? images.dims : [indices.length, channels!, first.height, first.width], joined);
  };
  return {
    description: steps.map(({ name }) => name).join(", "),
    batch,
    image(image, index, epoch) {
      const alone = new Tensor(image.dtype, [1, ...image.dims], image.source);
      const result = batch(alone, [index], epoch);
      return new Tensor(result.dtype, result.dims.slice(1), result.source);
    },
  };
}

/** A generator of its own for every step of every image in every epoch. */
function generatorOf(seed: number, epoch: number, index: number, step: number): Random {
  return createRandom(hashBytes(new Uint8Array(Uint32Array.of(seed, epoch, index, step).buffer)));
}

/**
 * The samples of a source with one input changed as it is in one epoch. A sample's index is its place in the source.
 * @param input name of the input. Samples have batches of one image, or of several.
 */
export function augmentSource(source: DataSource, input: string, augmenter: Augmenter, epoch: number): DataSource {
  const change = <Sample extends { readonly inputs: Readonly<Record<string, Tensor>> }>(
    sample: Sample,
    first: number,
  ): Sample => {
    const images = sample.inputs[input];
    if (images === undefined) {
      const problem = `expected an input "${input}", got ${Object.keys(sample.inputs).join(", ")}`;
      throw new OptionError({ area, subject: "augment", problem });
    }
    const indices = Array.from({ length: images.dims[0] ?? 1 }, (_, i) => first + i);
    return { ...sample, inputs: { ...sample.inputs, [input]: augmenter.batch(images, indices, epoch) } };
  };
  const { at } = source;
  return {
    ...source,
    name: `${source.name}, augmented: ${augmenter.description}`,
    async *samples() {
      let index = 0;
      for await (const sample of source.samples()) {
        yield change(sample, index);
        index += sample.inputs[input]?.dims[0] ?? 1;
      }
    },
    // Of batches nobody knows how many images came before: only sources of single images can be read anywhere.
    at: at && (async (index) => change(await at(index), index)),
  };
}
