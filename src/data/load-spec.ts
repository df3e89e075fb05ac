/**
 * @file What the data loaders can be told beside a path: one table, from which flags, help and checks come. Plain data,
 * so that child processes open the same samples.
 */
import { z } from "zod";
import { OptionError } from "../util/errors.ts";
import { PREPROCESS } from "./preprocess-spec.ts";

export const LOAD_OPTIONS = z.strictObject({
  preprocess: z
    .union([z.string(), PREPROCESS])
    .optional()
    .describe("images: imagenet, clip, unit (0…1), signed (−1…1), a JSON specification or a preprocessor_config.json"),
  labels: z.string().optional().describe("images: a table of file,label (default: the names of their folders)"),
  textLabels: z
    .boolean()
    .optional()
    .describe("images: the labels of the table are texts that the images show, not names of classes"),
  classes: z
    .string()
    .optional()
    .describe("images, texts: a file with the names of classes in the order of the model's outputs"),
  tokenizer: z.string().optional().describe("texts: tokenizer.json, or the folder that has it"),
  maxLength: z.int().min(1).optional().describe("texts: tokens after which they are cut"),
  textField: z.string().optional().describe("texts: the key of the text (default: text)"),
  pairField: z.string().optional().describe("texts: the key of the second text (default: text_pair)"),
  labelField: z.string().optional().describe("texts: the key of the label (default: label)"),
  batch: z.int().min(1).optional().describe("samples that run together (default: 1, or what the model fixes)"),
  shuffle: z.boolean().optional().describe("read in an order drawn with --seed (default: for images only)"),
});

/** Which options concern which kind of data. */
const ONLY = {
  images: ["preprocess", "labels", "textLabels", "classes"],
  texts: ["classes", "tokenizer", "maxLength", "textField", "pairField", "labelField"],
} as const;

/** The names of the options, in the order of help texts. */
export const LOAD_NAMES = Object.keys(LOAD_OPTIONS.shape) as (keyof z.input<typeof LOAD_OPTIONS>)[];

export type LoadSpec = z.input<typeof LOAD_OPTIONS> & {
  /** Of the order. Default 0. */
  readonly seed?: number;
  /**
   * Path of the model. A `preprocessor_config.json` or `tokenizer.json` beside it, or in the folder above where that
   * is called "onnx", is taken where none is given.
   */
  readonly model?: string;
};

/** @throws OptionError for values that are not allowed. */
export function checkSpec(spec: LoadSpec): void {
  // A specification given as an object is checked where it is read, with better words.
  const given = Object.fromEntries(LOAD_NAMES.map((name) => [name, name === "preprocess" ? undefined : spec[name]]));
  const result = LOAD_OPTIONS.safeParse(given);
  if (result.success) return;
  const issue = result.error.issues[0]!;
  throw new OptionError({ area: "data", subject: `option "${issue.path.join(".")}"`, problem: issue.message });
}

/**
 * @throws OptionError for an option of another kind of data: it would have no effect.
 */
export function checkKind(spec: LoadSpec, kind: "images" | "texts" | "arrays" | "module", subject: string): void {
  for (const [other, keys] of Object.entries(ONLY)) {
    const mine: readonly string[] = kind === "images" || kind === "texts" ? ONLY[kind] : [];
    const given = keys.find((key) => !mine.includes(key) && spec[key] !== undefined);
    if (given === undefined) continue;
    throw new OptionError({
      area: "data",
      subject: `${subject}: option "${given}"`,
      problem: `expected options for ${kind === "module" ? "a module" : kind}, got one for ${other}`,
      help: "Leave it out: it would have no effect.",
    });
  }
}
