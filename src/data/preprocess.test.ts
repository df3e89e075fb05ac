/**
 * @file Tests of preprocess.ts and preprocess-spec.ts: equal to torchvision's definitions in every bit
 * (scripts/reference/preprocess.py), and to a slow plain version elsewhere.
 */
import { expect, it } from "vitest";
import reference from "../../test/reference/preprocess.json" with { type: "json" };
import type { Port } from "../runtime/runtime.ts";
import { InputError, OptionError, UnsupportedError } from "../util/errors.ts";
import { createPreprocessor } from "./preprocess.ts";
import { type PreprocessSpec, parsePreprocess } from "./preprocess-spec.ts";
import type { Image } from "./resize.ts";

/** The same bytes as the script's. */
function picture(width: number, height: number, channels = 3): Image {
  let state = 12345n;
  const data = Uint8Array.from({ length: width * height * channels }, () => {
    state = (state * 1103515245n + 12345n) % 2n ** 31n;
    return Number((state >> 16n) & 255n);
  });
  return { width, height, channels, data };
}

const NCHW: Port = { name: "pixels", dtype: "float32", shape: ["n", 3, null, null] };
const portOf = (shape: Port["shape"], dtype: Port["dtype"] = "float32"): Port => ({ name: "pixels", dtype, shape });
const run = (spec: PreprocessSpec, port: Port, image: Image) =>
  createPreprocessor(parsePreprocess(spec, "spec"), [port], "photos/").run(image);

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

it.each(reference.torchvision)("torchvision: $width × $height, Resize($shortest), CenterCrop($crop)", (entry) => {
  const spec = { resize: { shortest: entry.shortest }, crop: { width: entry.crop, height: entry.crop }, ...IMAGENET };
  const result = run(spec, NCHW, picture(entry.width, entry.height));
  expect(result.dims).toEqual([1, 3, entry.crop, entry.crop]);
  expect([...new Int32Array(result.floats().buffer)]).toEqual(entry.bits);
});

it("makes grey as Pillow does", () => {
  const result = run({ color: "gray", scale: 1 }, portOf([1, 1, 9, 13]), picture(13, 9));
  expect(result.numbers()).toEqual(reference.grey);
});

it.each<[string, PreprocessSpec, Port]>([
  ["rgb nchw", {}, portOf([1, 3, 4, 5])],
  ["bgr nchw", { color: "bgr", mean: 0.5, std: [0.1, 0.2, 0.3] }, portOf([1, 3, 4, 5])],
  ["rgb nhwc", { scale: 1, mean: [1, 2, 3] }, portOf([null, 4, 5, 3])],
  ["layout given", { layout: "nhwc" }, portOf(["b", "h", "w", "c"])],
  ["no batch dimension", {}, portOf([3, 4, 5])],
])("equals a plain loop: %s", (_, spec, port) => {
  const image = picture(5, 4);
  const result = run(spec, port, image);
  const last = port.shape?.at(-1) === 3 || spec.layout === "nhwc";
  const at = (value: number | readonly number[] | undefined, c: number, other: number): number =>
    value === undefined ? other : typeof value === "number" ? value : value[c]!;
  const expected: number[] = [];
  const push = (c: number, y: number, x: number): void => {
    const byte = image.data[(y * 5 + x) * 3 + (spec.color === "bgr" ? 2 - c : c)]!;
    expected.push((byte * (spec.scale ?? 1 / 255) - at(spec.mean, c, 0)) / at(spec.std, c, 1));
  };
  if (last) for (let y = 0; y < 4; y++) for (let x = 0; x < 5; x++) for (let c = 0; c < 3; c++) push(c, y, x);
  else for (let c = 0; c < 3; c++) for (let y = 0; y < 4; y++) for (let x = 0; x < 5; x++) push(c, y, x);
  expect(result.dims).toEqual(port.shape?.length === 3 ? [3, 4, 5] : last ? [1, 4, 5, 3] : [1, 3, 4, 5]);
  // Three roundings to binary32 of values up to 10.
  result.numbers().forEach((value, i) => {
    expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(3 * 2 ** -24 * Math.max(1, Math.abs(expected[i]!) * 4));
  });
});

it("writes other types: bytes as they are, float16 rounded once", () => {
  const image = picture(5, 4);
  const bytes = run({}, portOf([1, 4, 5, 3], "uint8"), image);
  expect([bytes.dtype, [...bytes.bytes()]]).toEqual(["uint8", [...image.data]]);
  const half = run({ layout: "nhwc" }, portOf([1, 4, 5, 3], "float16"), image);
  expect(half.dtype).toBe("float16");
  half.floats().forEach((value, i) => {
    // Half a unit in the last place of binary16 below 1.
    expect(Math.abs(value - image.data[i]! / 255)).toBeLessThanOrEqual(2 ** -12);
  });
});

it("grey images fill three channels", () => {
  const result = run({ scale: 1 }, portOf([1, 3, 2, 2]), {
    width: 2,
    height: 2,
    channels: 1,
    data: Uint8Array.of(1, 2, 3, 4),
  });
  expect(result.numbers()).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
});

it.each<[PreprocessSpec, readonly [number, number], readonly [number, number]]>([
  // [width, height] of the image → of the result
  [{ resize: { width: 7, height: 3 } }, [20, 10], [7, 3]],
  [{ resize: { height: 5 } }, [20, 10], [10, 5]],
  [{ resize: { width: 5 } }, [20, 10], [5, 3]],
  [{ resize: { shortest: 7 } }, [20, 9], [15, 7]],
  [{ resize: { longest: 7 } }, [20, 9], [7, 3]],
  [{ resize: { shortest: 8, longest: 12 } }, [20, 9], [12, 5]],
  [{ resize: { longest: 100, multiple: 32 } }, [50, 20], [96, 32]],
  [{ resize: { width: 6, height: 6, fit: "cover" } }, [20, 10], [6, 6]],
  [{ resize: { width: 6, height: 6, fit: "contain" } }, [20, 10], [6, 6]],
  [{ crop: { width: 30, height: 4 } }, [20, 10], [30, 4]],
])("%j: %j → %j", (spec, from, to) => {
  expect(run(spec, NCHW, picture(from[0], from[1])).dims.slice(2)).toEqual([to[1], to[0]]);
});

it("pads with its colour, before it normalizes", () => {
  const image = { width: 4, height: 2, channels: 3, data: new Uint8Array(24).fill(255) };
  const spec = { resize: { width: 4, height: 4, fit: "contain" }, pad: 51, mean: 0.5, color: "gray" } as const;
  const rows = run(spec, portOf([1, 1, 4, 4]), image).numbers();
  const expected = [...Array(4).fill(-0.3), ...Array(8).fill(0.5), ...Array(4).fill(-0.3)];
  rows.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i], 6);
  });
  const start = { ...spec, resize: { ...spec.resize, align: "start" as const } };
  expect(run(start, portOf([1, 1, 4, 4]), image).numbers()[0]).toBe(0.5);
});

it("derives a size from the model, and says what it assumed", () => {
  const describe = (port: Port) => createPreprocessor(undefined, [port], "photos/").description;
  expect(describe(portOf([1, 3, 32, 48]))).toBe("stretched to 48×32, RGB, 0…1, NCHW");
  expect(describe(portOf([1, 28, 28, 1]))).toBe("stretched to 28×28, grey, 0…1, NHWC");
  expect(describe(portOf([1, 3, 48, "width"]))).toBe("height 48, RGB, 0…1, NCHW");
  expect(describe(portOf([1, 32, 32, 3], "uint8"))).toBe("stretched to 32×32, RGB, 0…255, NHWC");
  expect(createPreprocessor("imagenet", [NCHW], "").description).toMatch(
    /^shorter side 256, middle 224×224, RGB, \(0…1 − 0\.485/,
  );
  expect(createPreprocessor("imagenet", [portOf([1, 3, 299, 299])], "").description).toMatch(
    /^shorter side 342, middle 299/,
  );
  expect(createPreprocessor("clip", [NCHW], "").description).toMatch(/^shorter side 224, bicubic, middle 224×224/);
  expect(createPreprocessor("signed", [portOf([1, 3, 8, 8])], "").description).toMatch(/\(0…1 − 0\.5\) \/ 0\.5/);
});

it("reads Hugging Face's preprocessor_config.json", () => {
  // openai/clip-vit-base-patch32
  const clip = parsePreprocess(
    {
      crop_size: 224,
      do_center_crop: true,
      do_normalize: true,
      do_resize: true,
      feature_extractor_type: "CLIPFeatureExtractor",
      image_mean: [0.48145466, 0.4578275, 0.40821073],
      image_std: [0.26862954, 0.26130258, 0.27577711],
      resample: 3,
      size: 224,
    },
    "config",
  );
  expect(clip).toMatchObject({
    color: "rgb",
    resize: { shortest: 224, filter: "bicubic" },
    crop: { width: 224, height: 224, offset: "floor" },
    scale: 1 / 255,
  });
  // google/vit-base-patch16-224
  const vit = parsePreprocess(
    { do_normalize: true, do_resize: true, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], size: 224 },
    "config",
  );
  expect(vit).toMatchObject({ resize: { width: 224, height: 224, filter: "bilinear" }, mean: [0.5, 0.5, 0.5] });
  expect(vit.crop).toBeUndefined();
  // facebook/convnext-tiny-224: enlarged by 1 / 0.875 and cropped
  const convnext = { image_processor_type: "ConvNextImageProcessor", size: { shortest_edge: 224 }, crop_pct: 0.875 };
  expect(parsePreprocess(convnext, "config")).toMatchObject({ resize: { shortest: 256 }, crop: { width: 224 } });
  // apple/mobilevit-small: blue first, no normalization
  const mobile = { do_flip_channel_order: true, do_normalize: false, do_resize: true, size: { shortest_edge: 288 } };
  expect(parsePreprocess(mobile, "config")).toMatchObject({ color: "bgr", resize: { shortest: 288 } });
  expect(parsePreprocess({ ...mobile, do_rescale: false }, "config").scale).toBe(1);
  expect(parsePreprocess({ image_processor: mobile }, "config").color).toBe("bgr");
  expect(() => parsePreprocess({ ...mobile, do_pad: true }, "config")).toThrow(UnsupportedError);
  expect(() => parsePreprocess({ ...mobile, size: { max_height: 5 }, resample: 9 }, "config")).toThrow(OptionError);
});

it("crops odd margins where its source does", () => {
  const image = { width: 8, height: 1, channels: 1, data: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7) };
  const first = (offset: "round" | "floor", width: number) =>
    run({ scale: 1, crop: { width, height: 1, offset } }, portOf([1, 1, 1, width]), image).numbers()[0];
  // Margins of 1.5, 2.5 and −0.5: Python's round() and its integer division.
  expect([first("round", 5), first("floor", 5)]).toEqual([2, 1]);
  expect([first("round", 3), first("floor", 3)]).toEqual([2, 2]);
  const pad = (offset: "round" | "floor") =>
    run({ scale: 1, pad: 9, crop: { width: 9, height: 1, offset } }, portOf([1, 1, 1, 9]), image).numbers();
  expect([pad("round")[8], pad("floor")[0]]).toEqual([9, 9]);
});

it.each<[string, () => unknown, RegExp]>([
  [
    "unknown keys",
    () => parsePreprocess({ sizes: 3 }, "spec.json"),
    /spec\.json: unknown key sizes\. Keys are: input, color/,
  ],
  [
    "unknown keys inside",
    () => parsePreprocess({ resize: { size: 3 } }, "s"),
    /s: "resize": unknown key size\. Keys are: width, height/,
  ],
  ["values", () => parsePreprocess({ color: "cmyk" }, "s"), /s: "color": .*rgb/],
  ["no object", () => parsePreprocess([1], "s"), /s: .*expected object/],
  [
    "two inputs",
    () => createPreprocessor(undefined, [NCHW, { ...NCHW, name: "b" }], "p/"),
    /one input for images, got 2/,
  ],
  [
    "an input's name",
    () => run({ input: "y" }, NCHW, picture(2, 2)),
    /"input": expected the name of an input, got "y"/,
  ],
  [
    "ranks",
    () => createPreprocessor(undefined, [portOf([1, 5])], "p/"),
    /\[N, C, H, W\] or \[N, H, W, C\], got pixels/,
  ],
  ["open sizes", () => createPreprocessor(undefined, [NCHW], "p/"), /told the size of images.*--preprocess imagenet/],
  ["channels", () => run({ color: "gray" }, NCHW, picture(2, 2)), /"color": expected 3 channels .* got gray/],
  [
    "a size that never fits",
    () => run({ resize: { width: 3, height: 4 } }, portOf([1, 3, 4, 4]), picture(2, 2)),
    /"resize\.width": expected 4 .* got 3/,
  ],
  [
    "types",
    () => createPreprocessor(undefined, [portOf([1, 3, 2, 2], "int64")], "p/"),
    /float32, float16 or uint8, got pixels \(int64/,
  ],
  ["a number of means", () => run({ mean: [1, 2] }, NCHW, picture(2, 2)), /"mean": expected one number or 3, got 2/],
  ["std", () => run({ std: 0 }, NCHW, picture(2, 2)), /"std": expected numbers other than 0/],
])("says what is wrong: %s", (_, attempt, message) => {
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(/^data: /);
  try {
    attempt();
  } catch (error) {
    expect(error instanceof InputError || error instanceof OptionError).toBe(true);
  }
});
