/**
 * @file From an image's bytes to a model's input: colour order, size, crop, normalization, layout. The arithmetic is
 * torchvision's and Pillow's: sizes in whole pixels, colours in bytes until the last step, then binary32.
 */
import type { Port } from "../runtime/runtime.ts";
import { numberToFloat16 } from "../tensor/float16.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { PREPROCESS, PRESETS, type Preprocess, type PresetName } from "./preprocess-spec.ts";
import { crop, type Image, resize } from "./resize.ts";
import { describePort } from "./source.ts";

/** A specification with everything that it left to the model. */
export interface Preprocessor {
  readonly port: Port;
  /** What is done, in words: "stretched to 224×224, RGB, 0…1, NCHW". */
  readonly description: string;
  /** @param image RGB, or grey. @throws InputError where the result would not be an image. */
  run(image: Image): Tensor;
}

const area = "data";

/** The model's input as an image: its layout and what it fixes. */
interface Picture {
  readonly layout: "nchw" | "nhwc";
  readonly channels: number | undefined;
  readonly height: number | undefined;
  readonly width: number | undefined;
  /** No batch dimension. */
  readonly single: boolean;
}

/**
 * @param spec a specification, a preset's name, or undefined: the whole image in the model's size, 0 … 1.
 * @throws InputError where the model has no input for one image, or where its size is known to nobody; OptionError where
 * the specification does not fit it.
 */
export function createPreprocessor(
  spec: Preprocess | PresetName | undefined,
  ports: readonly Port[],
  subject: string,
): Preprocessor {
  const port = imagePort(typeof spec === "object" ? spec.input : undefined, ports, subject);
  const picture = pictureOf(port, typeof spec === "object" ? spec.layout : undefined, subject);
  const resolved = typeof spec === "object" ? spec : PREPROCESS.parse(PRESETS[spec ?? "unit"](picture));
  const fixed = picture.height !== undefined || picture.width !== undefined;
  if (!fixed && (spec === undefined || spec === "unit" || spec === "signed")) {
    throw new InputError({
      area,
      subject,
      problem: `expected to be told the size of images, for the model leaves it open: ${describePort(port)}`,
      help: "Say what your application does: --preprocess imagenet, clip, or a file (docs/data.md).",
    });
  }
  const color = resolved.color ?? (picture.channels === 1 ? "gray" : "rgb");
  const channels = color === "gray" ? 1 : 3;
  if (picture.channels !== undefined && picture.channels !== channels) {
    throw new OptionError({
      area,
      subject: `${subject}: "color"`,
      problem: `expected ${picture.channels} channels for ${describePort(port)}, got ${color}`,
      help: picture.channels === 1 ? 'Set "color": "gray".' : undefined,
    });
  }
  checkSize(resolved, picture, port, subject);
  const dtype = dtypeFor(resolved, port, subject);
  const tables = lookupTables(resolved, channels, dtype, subject);
  const pad = perChannel(resolved.pad, channels, "pad", subject);
  const { layout, single } = picture;
  return {
    port,
    description: describe(resolved, color, layout, dtype),
    run(image) {
      const sized = cropMiddle(resizeTo(toColor(image, color), resolved, pad), resolved, pad);
      return toTensor(sized, tables, dtype, layout, single);
    },
  };
}

function imagePort(name: string | undefined, ports: readonly Port[], subject: string): Port {
  const port = name === undefined && ports.length === 1 ? ports[0] : ports.find((entry) => entry.name === name);
  if (port !== undefined && ports.length === 1) return port;
  const takes = ports.map(describePort).join(", ");
  if (name !== undefined && port === undefined) {
    const problem = `expected the name of an input, got "${name}"`;
    throw new OptionError({ area, subject: `${subject}: "input"`, problem, help: `The model takes ${takes}.` });
  }
  throw new InputError({
    area,
    subject,
    problem: `expected a model with one input for images, got ${ports.length}: ${takes}`,
    help: "Write a module that gives all inputs, or record the feeds of your application.",
  });
}

function pictureOf(port: Port, layout: Preprocess["layout"], subject: string): Picture {
  const dims = port.shape?.map((dim) => (typeof dim === "number" && dim > 0 ? dim : undefined));
  const single = dims?.length === 3;
  if (dims !== undefined && dims.length !== 4 && !single) {
    throw new InputError({
      area,
      subject,
      problem: `expected an input for images [N, C, H, W] or [N, H, W, C], got ${describePort(port)}`,
      help: "Write a module that makes its samples, or record the feeds of your application.",
    });
  }
  const [a, b, c] = dims === undefined ? [] : single ? dims : dims.slice(1);
  const isColour = (count: number | undefined): boolean => count === 1 || count === 3;
  const last = layout === undefined ? isColour(c) && !isColour(a) : layout === "nhwc";
  return last
    ? { layout: "nhwc", channels: c, height: a, width: b, single }
    : { layout: "nchw", channels: a, height: b, width: c, single };
}

/** A specification that always gives a size which the model does not take is wrong before any image is read. */
function checkSize(spec: Preprocess, picture: Picture, port: Port, subject: string): void {
  const { crop, resize } = spec;
  const size = crop ?? (resize?.width !== undefined && resize.height !== undefined ? resize : undefined);
  for (const side of ["width", "height"] as const) {
    const [wanted, given] = [picture[side], size?.[side]];
    if (wanted === undefined || given === undefined || wanted === given) continue;
    throw new OptionError({
      area,
      subject: `${subject}: "${crop ? "crop" : "resize"}.${side}"`,
      problem: `expected ${wanted} for ${describePort(port)}, got ${given}`,
    });
  }
}

type ImageDType = NonNullable<Preprocess["dtype"]>;

function dtypeFor(spec: Preprocess, port: Port, subject: string): ImageDType {
  const dtype = spec.dtype ?? port.dtype;
  if ((dtype === "float32" || dtype === "float16" || dtype === "uint8") && (port.dtype ?? dtype) === dtype)
    return dtype;
  throw new InputError({
    area,
    subject,
    problem: `expected an input of float32, float16 or uint8, got ${describePort(port)}${spec.dtype ? `, and "dtype": "${spec.dtype}"` : ""}`,
    help: "Write a module that makes its samples.",
  });
}

function perChannel(
  value: number | readonly number[],
  channels: number,
  key: string,
  subject: string,
): readonly number[] {
  if (typeof value === "number") return new Array<number>(channels).fill(value);
  if (value.length === channels) return value;
  throw new OptionError({
    area,
    subject: `${subject}: "${key}"`,
    problem: `expected one number or ${channels}, got ${value.length}`,
  });
}

/**
 * (byte · scale − mean) / std for every byte, per channel [channels][256]: each step rounded to binary32, as PyTorch
 * computes it. For uint8 inputs rounded and clamped; for float16 as bits.
 */
function lookupTables(
  spec: Preprocess,
  channels: number,
  dtype: ImageDType,
  subject: string,
): readonly (Float32Array | Uint8Array | Uint16Array)[] {
  const scale = spec.scale ?? (dtype === "uint8" ? 1 : 1 / 255);
  const mean = perChannel(spec.mean ?? 0, channels, "mean", subject);
  const std = perChannel(spec.std ?? 1, channels, "std", subject);
  if (std.includes(0)) {
    throw new OptionError({ area, subject: `${subject}: "std"`, problem: "expected numbers other than 0, got 0" });
  }
  return mean.map((shift, channel) => {
    const values = Float32Array.from({ length: 256 }, (_, byte) =>
      Math.fround(Math.fround(Math.fround(byte * scale) - Math.fround(shift)) / Math.fround(std[channel]!)),
    );
    if (dtype === "uint8") return Uint8ClampedArray.from(values) as unknown as Uint8Array;
    return dtype === "float16" ? Uint16Array.from(values, numberToFloat16) : values;
  });
}

/** Grey as Pillow's convert("L"): ITU-R 601-2 luma in 16 fractional bits, rounded. */
function toColor(image: Image, color: "rgb" | "bgr" | "gray"): Image {
  const { width, height, channels, data } = image;
  if (color === "gray" && channels === 1) return image;
  if (color === "rgb" && channels === 3) return image;
  const count = width * height;
  if (color === "gray") {
    const grey = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      grey[i] = (data[3 * i]! * 19595 + data[3 * i + 1]! * 38470 + data[3 * i + 2]! * 7471 + 0x8000) >> 16;
    }
    return { width, height, channels: 1, data: grey };
  }
  const result = new Uint8Array(3 * count);
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < 3; channel++) {
      result[3 * i + channel] = channels === 1 ? data[i]! : data[3 * i + (color === "bgr" ? 2 - channel : channel)]!;
    }
  }
  return { width, height, channels: 3, data: result };
}

/** The size before cropping or padding to `width` and `height`. */
function scaledSize(image: Image, options: NonNullable<Preprocess["resize"]>): readonly [number, number] {
  const { width, height, shortest, longest, fit } = options;
  const round = (value: number): number => Math.max(1, Math.round(value));
  if (width !== undefined && height !== undefined) {
    if (fit === "stretch") return [width, height];
    const factors = [width / image.width, height / image.height];
    const factor = fit === "cover" ? Math.max(...factors) : Math.min(...factors);
    return [round(image.width * factor), round(image.height * factor)];
  }
  if (width !== undefined) return [width, round((image.height * width) / image.width)];
  if (height !== undefined) return [round((image.width * height) / image.height), height];
  if (shortest === undefined && longest === undefined) return [image.width, image.height];
  const [short, long] = [Math.min(image.width, image.height), Math.max(image.width, image.height)];
  // torchvision rounds the longer side down.
  let sides: [number, number] =
    shortest === undefined
      ? [Math.max(1, Math.trunc((longest! * short) / long)), longest!]
      : [shortest, Math.trunc((shortest * long) / short)];
  if (longest !== undefined && sides[1] > longest) {
    sides = [Math.max(1, Math.trunc((longest * sides[0]) / sides[1])), longest];
  }
  return image.width <= image.height ? sides : [sides[1], sides[0]];
}

function resizeTo(image: Image, spec: Preprocess, pad: readonly number[]): Image {
  const options = spec.resize;
  if (options === undefined) return image;
  const { filter, antialias, multiple, align } = options;
  const scaled = scaledSize(image, options).map((side) =>
    multiple === undefined ? side : Math.max(multiple, Math.round(side / multiple) * multiple),
  );
  const sized = resize(image, scaled[0]!, scaled[1]!, filter, antialias);
  const { width, height } = options;
  if (options.fit === "stretch" || width === undefined || height === undefined) return sized;
  const place = (have: number, want: number): number => (align === "start" ? 0 : Math.floor((have - want) / 2));
  return crop(sized, place(sized.width, width), place(sized.height, height), width, height, pad);
}

/**
 * The middle. torchvision rounds half a pixel to even, and pads small images more at the right and at the bottom; Hugging
 * Face rounds down, and so pads more at the left and at the top.
 */
function cropMiddle(image: Image, spec: Preprocess, pad: readonly number[]): Image {
  if (spec.crop === undefined) return image;
  const { width, height, offset } = spec.crop;
  const place = (have: number, want: number): number => {
    const half = (have - want) / 2;
    const floor = Math.floor(half);
    if (offset === "floor") return floor;
    return half < 0 ? Math.ceil(half) : floor + (half > floor && floor % 2 === 1 ? 1 : 0);
  };
  return crop(image, place(image.width, width), place(image.height, height), width, height, pad);
}

function toTensor(
  image: Image,
  tables: readonly (Float32Array | Uint8Array | Uint16Array)[],
  dtype: ImageDType,
  layout: "nchw" | "nhwc",
  single: boolean,
): Tensor {
  const { width, height, channels, data } = image;
  const ArrayType = dtype === "float32" ? Float32Array : dtype === "float16" ? Uint16Array : Uint8Array;
  const result = new ArrayType(data.length);
  const size = width * height;
  for (let channel = 0; channel < channels; channel++) {
    const table = tables[channel]!;
    const [start, step] = layout === "nchw" ? [channel * size, 1] : [channel, channels];
    for (let i = 0; i < size; i++) result[start + i * step] = table[data[i * channels + channel]!]!;
  }
  const dims = layout === "nchw" ? [channels, height, width] : [height, width, channels];
  return Tensor.of(dtype, single ? dims : [1, ...dims], result);
}

function describe(spec: Preprocess, color: string, layout: string, dtype: ImageDType): string {
  const { resize: size, crop } = spec;
  const parts: string[] = [];
  if (size !== undefined) {
    const { width, height, shortest, longest, multiple, fit } = size;
    const verb = { stretch: "stretched", cover: "cut", contain: "padded" }[fit];
    if (width !== undefined && height !== undefined) parts.push(`${verb} to ${width}×${height}`);
    else if (width !== undefined || height !== undefined)
      parts.push(`${width === undefined ? "height" : "width"} ${width ?? height}`);
    if (shortest !== undefined) parts.push(`shorter side ${shortest}`);
    if (longest !== undefined) parts.push(`longer side ${shortest === undefined ? "" : "at most "}${longest}`);
    if (multiple !== undefined) parts.push(`multiples of ${multiple}`);
    if (size.filter !== "bilinear") parts.push(size.filter);
  }
  if (crop !== undefined) parts.push(`middle ${crop.width}×${crop.height}`);
  parts.push(color === "gray" ? "grey" : color.toUpperCase());
  const scale = spec.scale ?? (dtype === "uint8" ? 1 : 1 / 255);
  const range = Math.abs(scale * 255 - 1) < 1e-6 ? "0…1" : scale === 1 ? "0…255" : `bytes × ${scale}`;
  const list = (value: number | readonly number[]): string => [value].flat().join("/");
  parts.push(
    spec.mean === undefined && spec.std === undefined
      ? range
      : `(${range} − ${list(spec.mean ?? 0)}) / ${list(spec.std ?? 1)}`,
  );
  parts.push(layout.toUpperCase());
  return parts.join(", ");
}
