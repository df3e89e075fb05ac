/**
 * @file How images become a model's input, as data: the specification that users write, presets by name, and what
 * Hugging Face's `preprocessor_config.json` means in the same terms.
 */
import { z } from "zod";
import { OptionError, UnsupportedError } from "../util/errors.ts";
import { FILTERS, type FilterName } from "./resize.ts";

const pixels = z.int().min(1);

const RESIZE = z.strictObject({
  width: pixels.optional().describe("width in pixels; without height, the height follows the aspect ratio"),
  height: pixels.optional().describe("height in pixels; without width, the width follows the aspect ratio"),
  shortest: pixels.optional().describe("length of the shorter side; the longer one follows, rounded down"),
  longest: pixels.optional().describe("length of the longer side; beside shortest: its largest length"),
  multiple: pixels.optional().describe("both sides rounded to multiples of this, as text detectors want"),
  fit: z
    .enum(["stretch", "cover", "contain"])
    .default("stretch")
    .describe("with width and height: distort, cut off what stands over, or pad"),
  align: z.enum(["center", "start"]).default("center").describe("where a cut or padded image stands"),
  filter: z
    .enum(Object.keys(FILTERS) as [FilterName, ...FilterName[]])
    .default("bilinear")
    .describe("interpolation, as Pillow has it"),
  antialias: z
    .boolean()
    .default(true)
    .describe("stretch the filter when shrinking, as Pillow and PyTorch; false: as OpenCV"),
});

/** A preprocessing specification: the steps run in the order of the fields. */
export const PREPROCESS = z.strictObject({
  input: z.string().optional().describe("name of the model's input (default: the only one)"),
  color: z
    .enum(["rgb", "bgr", "gray"])
    .optional()
    .describe("order of the channels (default: rgb, gray for one channel)"),
  resize: RESIZE.optional().describe("the size before cropping (default: the image's own)"),
  crop: z
    .strictObject({
      width: pixels.describe("in pixels"),
      height: pixels.describe("in pixels"),
      offset: z
        .enum(["round", "floor"])
        .default("round")
        .describe("odd margins: torchvision's half to even, or Hugging Face's floor"),
    })
    .optional()
    .describe("the middle of the image; what is missing is padded"),
  pad: z
    .union([z.number().min(0).max(255), z.array(z.number().min(0).max(255))])
    .default(0)
    .describe("colour of padding, 0–255, one number or one per channel"),
  scale: z.number().optional().describe("factor for the bytes (default: 1/255; 1 for a uint8 input)"),
  mean: z
    .union([z.number(), z.array(z.number()).min(1)])
    .optional()
    .describe("subtracted after scaling, per channel"),
  std: z
    .union([z.number(), z.array(z.number()).min(1)])
    .optional()
    .describe("divided by after that, per channel"),
  layout: z.enum(["nchw", "nhwc"]).optional().describe("default: from the input's shape"),
  dtype: z.enum(["float32", "float16", "uint8"]).optional().describe("default: the input's type"),
});

export type PreprocessSpec = z.input<typeof PREPROCESS>;
export type Preprocess = z.output<typeof PREPROCESS>;

/** Height and width of a model's input where it fixes them. */
export interface FixedSize {
  readonly height?: number;
  readonly width?: number;
}

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] };

/** The middle square of an image, as classifiers are judged on it. */
function middle(size: FixedSize, enlarge: number, filter: FilterName): PreprocessSpec {
  const crop = { width: size.width ?? 224, height: size.height ?? 224 };
  return { resize: { shortest: Math.round(Math.max(crop.width, crop.height) * enlarge), filter }, crop };
}

/** The whole image, distorted where it has to be. */
function whole({ width, height }: FixedSize): PreprocessSpec {
  return width === undefined && height === undefined ? {} : { resize: { width, height, fit: "stretch" } };
}

/** Specifications by name; sizes come from the model where it fixes them. */
export const PRESETS = {
  /** torchvision: shorter side to 256, the middle 224 × 224 (or as much larger as the model's input). */
  imagenet: (size: FixedSize): PreprocessSpec => ({ ...middle(size, 256 / 224, "bilinear"), ...IMAGENET }),
  clip: (size: FixedSize): PreprocessSpec => ({ ...middle(size, 1, "bicubic"), ...CLIP }),
  /** 0 … 1 */
  unit: (size: FixedSize): PreprocessSpec => whole(size),
  /** −1 … 1 */
  signed: (size: FixedSize): PreprocessSpec => ({ ...whole(size), mean: 0.5, std: 0.5 }),
} as const;

export type PresetName = keyof typeof PRESETS;

export function isPreset(name: string): name is PresetName {
  return Object.hasOwn(PRESETS, name);
}

/**
 * A specification from JSON that a user wrote, or from a `preprocessor_config.json`.
 * @param subject what messages call it.
 * @throws OptionError for unknown keys and values that are not allowed; UnsupportedError for processors that do what a
 * specification cannot say.
 */
export function parsePreprocess(json: unknown, subject: string): Preprocess {
  const processor = hubProcessor(json);
  const result = PREPROCESS.safeParse(processor === undefined ? json : fromHub(processor, subject));
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = issue.path.join(".");
  const keys = issue.path[0] === "resize" ? RESIZE.shape : issue.path.length === 0 ? PREPROCESS.shape : {};
  throw new OptionError({
    area: "data",
    subject: path === "" ? subject : `${subject}: "${path}"`,
    problem: issue.code === "unrecognized_keys" ? `unknown key ${issue.keys.join(", ")}` : issue.message,
    help: issue.code === "unrecognized_keys" ? `Keys are: ${Object.keys(keys).join(", ")}.` : "See docs/data.md.",
  });
}

/** Fields of Hugging Face's image processors that are read. */
const HUB = z.object({
  do_resize: z.boolean().optional(),
  size: z
    .union([
      pixels,
      z.object({
        shortest_edge: pixels.optional(),
        longest_edge: pixels.optional(),
        height: pixels.optional(),
        width: pixels.optional(),
      }),
    ])
    .optional(),
  crop_pct: z.number().nullish(),
  resample: z.int().min(0).max(5).nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: z.union([pixels, z.object({ height: pixels, width: pixels })]).nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: z.array(z.number()).nullish(),
  image_std: z.array(z.number()).nullish(),
  do_flip_channel_order: z.boolean().nullish(),
  do_convert_grayscale: z.boolean().nullish(),
});

/** PIL.Image.Resampling by number. */
const RESAMPLING = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"] as const satisfies FilterName[];

/** What pictures and padding masks of such processors would be: not in a specification. */
const BEYOND = ["do_pad", "do_thumbnail", "do_align_long_axis", "do_image_splitting", "do_crop_margin"] as const;

type Json = Readonly<Record<string, unknown>>;

/** The image processor in a parsed file, where it is one of Hugging Face's. */
function hubProcessor(json: unknown): Json | undefined {
  if (json === null || typeof json !== "object") return undefined;
  const file = json as Json;
  const inner = file["image_processor"];
  if (inner !== null && typeof inner === "object") return inner as Json;
  const marks = ["image_processor_type", "feature_extractor_type", "processor_class", "do_resize", "do_normalize"];
  return marks.some((key) => key in file) ? file : undefined;
}

function fromHub(json: Json, subject: string): PreprocessSpec {
  const parsed = HUB.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const where = `${subject}: "${issue.path.join(".")}"`;
    throw new OptionError({ area: "data", subject: where, problem: issue.message, help: HAND_WRITTEN });
  }
  const beyond = BEYOND.find((key) => json[key] === true);
  if (beyond !== undefined) {
    throw new UnsupportedError({
      area: "data",
      subject,
      problem: `expected a processor that resizes, crops and normalizes, got one with ${beyond}`,
      help: HAND_WRITTEN,
    });
  }
  const hub = parsed.data;
  const filter = RESAMPLING[hub.resample ?? 2]!;
  const kind = String(json["image_processor_type"] ?? json["feature_extractor_type"] ?? "");
  const { mean, std } = hub.do_normalize === false ? {} : { mean: hub.image_mean, std: hub.image_std };
  return {
    color: hub.do_convert_grayscale === true ? "gray" : hub.do_flip_channel_order === true ? "bgr" : "rgb",
    ...(hub.do_resize !== false && resizeOf(hub, kind, filter)),
    ...(hub.do_center_crop === true &&
      hub.crop_size != null && { crop: { ...sizeOf(hub.crop_size), offset: "floor" } }),
    scale: hub.do_rescale === false ? 1 : (hub.rescale_factor ?? 1 / 255),
    ...(mean != null && { mean }),
    ...(std != null && { std }),
  };
}

const HAND_WRITTEN = "Write the specification by hand (docs/data.md), or record the feeds of your application.";

const sizeOf = (size: number | { height: number; width: number }): { height: number; width: number } =>
  typeof size === "number" ? { height: size, width: size } : size;

function resizeOf(
  hub: z.output<typeof HUB>,
  kind: string,
  filter: FilterName,
): Pick<PreprocessSpec, "resize" | "crop"> {
  const { size } = hub;
  if (size === undefined) return {};
  // Old files have one number: the shorter side for processors that crop after it, a square for the others.
  const { shortest_edge, longest_edge, height, width } =
    typeof size !== "number"
      ? size
      : hub.do_center_crop === true || kind.startsWith("ConvNext")
        ? { shortest_edge: size }
        : { height: size, width: size };
  if (shortest_edge !== undefined && kind.startsWith("ConvNext")) {
    // Small pictures are enlarged by crop_pct and cropped, large ones are distorted.
    const square = { width: shortest_edge, height: shortest_edge };
    if (shortest_edge >= 384) return { resize: { ...square, filter } };
    const shortest = Math.trunc(shortest_edge / (hub.crop_pct ?? 224 / 256));
    return { resize: { shortest, filter }, crop: { ...square, offset: "floor" } };
  }
  return {
    resize: {
      ...(shortest_edge !== undefined && { shortest: shortest_edge }),
      ...(longest_edge !== undefined && { longest: longest_edge }),
      ...(height !== undefined && { height }),
      ...(width !== undefined && { width }),
      filter,
    },
  };
}
