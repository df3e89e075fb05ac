/**
 * @file Image sets in the bytes of IDX files (MNIST, Fashion-MNIST, …) as data, where there are no files: the same
 * samples that a folder gives in Node.
 */
import type { Port } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import { fromItems } from "./combine.ts";
import { decodeIdx } from "./idx.ts";
import { createPreprocessor, type Preprocessor } from "./preprocess.ts";
import { isPreset, type PreprocessSpec, type PresetName, parsePreprocess } from "./preprocess-spec.ts";
import { describePort } from "./source.ts";

const area = "data";

/** Images, and their labels by position for {@link shuffle}. */
export interface LabelledImages extends DataSource {
  readonly length: number;
  readonly groupOf?: (index: number) => unknown;
}

/** Two IDX files, unpacked. */
export interface IdxFiles {
  /** uint8 [count, height, width] or [count, height, width, channels]. The bytes must not change. */
  readonly images: Uint8Array;
  /** One whole number per image. Default: none. */
  readonly labels?: Uint8Array;
  /** For reports. Default "idx". */
  readonly name?: string;
}

export interface IdxOptions {
  /** The model's input: [N, channels, height, width], or [N, features] for a row of pixels. */
  readonly input: Port;
  /** How pixels become numbers. Default: by 1/255 to 0 … 1. */
  readonly preprocess?: PreprocessSpec | PresetName;
}

/**
 * Images in the order of their file.
 * @throws FormatError for bytes that are no IDX files; InputError, OptionError where files, input and preprocessing do not fit.
 */
export function fromIdx({ images: bytes, labels, name = "idx" }: IdxFiles, options: IdxOptions): LabelledImages {
  const { input, preprocess } = options;
  const images = decodeIdxImages(bytes, name);
  const ports = asPictures([input], images, name);
  const spec =
    preprocess === undefined || (typeof preprocess === "string" && isPreset(preprocess))
      ? preprocess
      : parsePreprocess(preprocess, "preprocess");
  const preprocessor = createPreprocessor(spec, ports, name);
  const how = preprocess === undefined ? "assumed" : "as specified";
  const classes = labels === undefined ? undefined : decodeIdxLabels(labels, `${name}: labels`, images.dims[0]!);
  return idxSource(images, classes, { name, flat: isFlat([input]), preprocessor, how });
}

/** @throws FormatError, InputError for anything but images. */
export function decodeIdxImages(bytes: Uint8Array, name: string): Tensor {
  const images = decodeIdx(bytes, name);
  const { dtype, dims } = images;
  const channels = dims[3] ?? 1;
  if (dtype === "uint8" && (dims.length === 3 || dims.length === 4) && (channels === 1 || channels === 3))
    return images;
  throw new InputError({
    area,
    subject: name,
    problem: `expected images, uint8 [count, height, width], got ${images}`,
    help: "Give the file of images; labels beside it are found by their name.",
  });
}

/** @throws FormatError, InputError for anything but `count` labels. */
export function decodeIdxLabels(bytes: Uint8Array, name: string, count: number): readonly number[] {
  const labels = decodeIdx(bytes, name);
  if (labels.dims.length === 1 && labels.dims[0] === count) return labels.numbers();
  throw new InputError({
    area,
    subject: name,
    problem: `expected ${count} labels, one per image, got ${labels}`,
  });
}

export interface IdxForm {
  readonly name: string;
  /** The model takes rows of pixels. */
  readonly flat: boolean;
  readonly preprocessor: Preprocessor;
  /** Where the preprocessing comes from, for reports. */
  readonly how: string;
}

export const isFlat = ([port]: readonly Port[]): boolean => port?.shape?.length === 2;

export function idxSource(images: Tensor, labels: readonly number[] | undefined, form: IdxForm): LabelledImages {
  const { name, flat, preprocessor, how } = form;
  const [count = 0, height = 0, width = 0, channels = 1] = images.dims;
  const data = images.bytes();
  const size = height * width * channels;
  const described = `${name} (${count} images${labels === undefined ? "" : ", labelled"}; ${how}: ${preprocessor.description})`;
  return {
    ...fromItems(described, count, async (index) => {
      const image = { width, height, channels, data: data.subarray(index * size, (index + 1) * size) };
      const tensor = preprocessor.run(image);
      const input = flat ? new Tensor(tensor.dtype, [1, elementCount(tensor.dims)], tensor.source) : tensor;
      return { inputs: { [preprocessor.port.name]: input }, ...(labels !== undefined && { label: labels[index]! }) };
    }),
    length: count,
    ...(labels !== undefined && { groupOf: (index: number) => labels[index] }),
  };
}

/** Inputs of which a single one becomes that of pictures of this size. */
export function asPictures(ports: readonly Port[], images: Tensor, subject: string): readonly Port[] {
  const [port, ...others] = ports;
  const [, height, width, channels = 1] = images.dims;
  if (port === undefined || others.length > 0) return ports;
  return [asPicture(port, height!, width!, channels, subject)];
}

/** The model's input as one for images of this size: what it leaves open is the file's, and [N, features] is a row of pixels. */
function asPicture(port: Port, height: number, width: number, channels: number, subject: string): Port {
  const { shape } = port;
  if (shape === undefined) return { ...port, shape: [null, channels, height, width] };
  if (shape.length === 2) {
    const [, features] = shape;
    if (typeof features === "number" && features > 0 && features !== channels * height * width) {
      const problem = `expected ${features} values for ${describePort(port)}, got images of ${[height, width, channels].join("×")}`;
      throw new InputError({ area, subject, problem });
    }
    return { ...port, shape: [shape[0]!, channels, height, width] };
  }
  if (shape.length !== 4) return port;
  const isColour = (dim: unknown): boolean => dim === 1 || dim === 3;
  const last = isColour(shape[3]) && !isColour(shape[1]);
  const own = last ? [null, height, width, channels] : [null, channels, height, width];
  return { ...port, shape: shape.map((dim, i) => (typeof dim === "number" && dim > 0 ? dim : own[i]!)) };
}
