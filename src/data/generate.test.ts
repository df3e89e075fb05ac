/** @file Tests of generate.ts and candidate-shapes.ts on the inputs of real models. */
import { describe, expect, it } from "vitest";
import type { Port } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import type { DType } from "../tensor/dtype.ts";
import { OptionError, UnsupportedError } from "../util/errors.ts";
import { candidateShapes, type ShapeOptions, shapeCandidates } from "./candidate-shapes.ts";
import { candidateFeeds, generateInputs } from "./generate.ts";

const port = (name: string, dtype: DType | undefined, shape: Port["shape"]): Port => ({ name, dtype, shape });
const first = (ports: readonly Port[]) => shapeCandidates(ports).next().value!.shapes;

describe("candidate shapes", () => {
  it("offers image sizes that fit what is fixed, the likely ones first", () => {
    const open = candidateShapes(port("x", "float32", ["p2o.0", 3, "p2o.1", "p2o.2"]));
    expect(open.slice(0, 3)).toEqual([
      [1, 3, 224, 224],
      [1, 3, 48, 320],
      [1, 3, 640, 640],
    ]);
    expect(open.every((shape) => shape[1] === 3)).toBe(true);
    expect(candidateShapes(port("x", "float32", ["n", 3, 48, "w"]))[0]).toEqual([1, 3, 48, 320]); // PP-OCRv4 recognition
    expect(candidateShapes(port("x", "float32", [null, 1, null, null]))[0]).toEqual([1, 1, 28, 28]);
    expect(candidateShapes(port("x", "uint8", [-1, -1, -1, 3]))[0]).toEqual([1, 224, 224, 3]);
    expect(candidateShapes(port("x", "float32", [1, 3, 10, 10]))).toEqual([[1, 3, 10, 10]]);
    expect(new Set(open.map(String)).size).toBe(open.length);
  });

  it("gives silero what it takes", () => {
    const v5 = [port("input", "float32", ["", ""]), port("state", "float32", [2, "", 128]), port("sr", "int64", [])];
    expect(first(v5)).toEqual({ input: [1, 512], state: [2, 1, 128], sr: [] });
    const legacy = [port("input", "float32", ["batch", "sequence"]), port("h", "float32", [2, "batch", 64])];
    expect(first(legacy)).toEqual({ input: [1, 512], h: [2, 1, 64] });
  });

  it("gives a decoder with a cache an empty past and masks of the right length", () => {
    const shapes = first([
      port("input_ids", "int64", ["batch_size", "sequence_length"]),
      port("attention_mask", "int64", ["batch_size", "past_sequence_length + sequence_length"]),
      port("past_key_values.0.key", "float32", ["batch_size", 12, "past_sequence_length", 64]),
    ]);
    expect(shapes).toEqual({ input_ids: [1, 16], attention_mask: [1, 16], "past_key_values.0.key": [1, 12, 0, 64] });
  });

  it("keeps one size for one name, varies inputs that look alike together, and repeats nothing", () => {
    const pair = ["a", "b"].map((name) => port(name, "float32", [1, 3, `h_${name}`, `w_${name}`]));
    for (const { shapes } of shapeCandidates(pair)) expect(shapes["a"]).toEqual(shapes["b"]);
    const tied = [port("ids", "int64", ["n", "len"]), port("x", "float32", ["n", "len", "len"])];
    const all = [...shapeCandidates(tied)];
    expect(all.length).toBeGreaterThan(2);
    for (const { shapes, dims } of all) {
      expect(shapes["x"]).toEqual([1, dims["len"], dims["len"]]);
      expect(shapes["ids"]).toEqual([1, dims["len"]]);
    }
    expect(new Set(all.map(({ shapes }) => JSON.stringify(shapes))).size).toBe(all.length);
  });

  it("takes the caller's sizes and refuses those that cannot be", () => {
    const x = port("x", "float32", ["n", 3, "h", "w"]);
    const y = port("y", "float32", ["n", "h"]);
    expect(candidateShapes(x, { dims: { h: 10, w: 20 } })).toEqual([[1, 3, 10, 20]]);
    expect([...shapeCandidates([y, x], { shapes: { x: [2, 3, 8, 9] } })]).toEqual([
      { dims: { n: 2, h: 8, w: 9 }, shapes: { x: [2, 3, 8, 9], y: [2, 8] } },
    ]);
    const wrong: ShapeOptions[] = [
      { dims: { z: 1 } },
      { shapes: { q: [1] } },
      { shapes: { x: [1, 4, 8, 8] } },
      { shapes: { x: [1] } },
    ];
    for (const options of wrong) {
      expect(() => candidateShapes(x, options)).toThrow(OptionError);
    }
  });

  it("guesses where even the rank is unknown", () => {
    expect(candidateShapes(port("x", "float32", undefined))).toContainEqual([1, 3, 224, 224]);
  });
});

describe("generated values", () => {
  const ports = [
    port("input_ids", "int64", [1, 50]),
    port("attention_mask", "int64", [1, 4]),
    port("token_type_ids", "int64", [1, 4]),
    port("position_ids", "int64", [2, 3]),
    port("sr", "int64", []),
    port("flags", "bool", [1, 64]),
    port("use_cache_branch", "bool", [1]),
    port("input_lengths", "int64", [1]),
    port("pixels", "float32", [1, 3, 40, 40]),
    port("bytes", "uint8", [1, 40, 40, 3]),
    port("features", "float32", [1, 60, 80]),
    port("half", "float16", [1, 4]),
    port("name", "string", [1]),
  ];
  const samples = (seed: number): Sample[] => {
    const source = generateInputs(ports, { seed, count: 2, vocabulary: 7 });
    expect([source.generated, source.length]).toEqual([true, 2]);
    return [...(source.samples() as Iterable<Sample>)];
  };

  it("suit names and types", () => {
    const { inputs } = samples(1)[0]!;
    const numbers = (name: string) => inputs[name]!.numbers();
    expect(new Set(numbers("input_ids"))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    expect(numbers("attention_mask")).toEqual([1, 1, 1, 1]);
    expect(numbers("token_type_ids")).toEqual([0, 0, 0, 0]);
    expect(numbers("position_ids")).toEqual([0, 1, 2, 0, 1, 2]);
    expect(numbers("sr")).toEqual([16000]);
    expect(new Set(numbers("flags"))).toEqual(new Set([0, 1]));
    expect(numbers("use_cache_branch")).toEqual([0]);
    expect(numbers("input_lengths")).toEqual([50]);
    const features = numbers("features");
    const mean = features.reduce((sum, value) => sum + value, 0) / features.length;
    const variance = features.reduce((sum, value) => sum + (value - mean) ** 2, 0) / features.length;
    expect(Math.abs(mean)).toBeLessThan(0.06); // 4 standard errors of 4,800 values
    expect(Math.abs(variance - 1)).toBeLessThan(0.09);
    // Pages: mostly paper, some ink, nothing between.
    const pixels = numbers("pixels");
    const ink = pixels.filter((value) => value < -1).length / pixels.length;
    const paper = pixels.filter((value) => value > 0.5).length / pixels.length;
    expect(ink + paper).toBe(1);
    expect([ink > 0.03, ink < 0.3]).toEqual([true, true]);
    const bytes = numbers("bytes");
    expect([Math.min(...bytes) >= 0, Math.max(...bytes) <= 255, Math.max(...bytes) > 200]).toEqual([true, true, true]);
    for (const { name, dtype } of ports) expect(inputs[name]!.dtype).toBe(dtype);
  });

  it("are the same for the same seed and differ between samples and seeds", () => {
    const pixels = (list: Sample[]) => list.map((sample) => sample.inputs["pixels"]!.numbers());
    const [a, b] = pixels(samples(1));
    expect(pixels(samples(1))).toEqual([a, b]);
    expect(b).not.toEqual(a);
    expect(pixels(samples(2))[0]).not.toEqual(a);
  });

  it("come complete with each candidate", () => {
    const [one, two] = candidateFeeds([port("x", "float32", ["n", 3, "h", "w"])]);
    expect([one!.inputs["x"]!.dims, two!.inputs["x"]!.dims]).toEqual([one!.shapes["x"], [1, 3, 48, 320]]);
    expect(one!.dims).toEqual({ n: 1, h: 224, w: 224 });
    expect(() => [...candidateFeeds([port("seq", undefined, undefined)])]).toThrow(UnsupportedError);
  });
});
