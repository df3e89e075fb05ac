/**
 * @file Generated inputs for any model: good for loading, running and timing it, never for judging its accuracy.
 */
import type { Port, Tensors } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { elementCount } from "../tensor/dtype.ts";
import { numberToBfloat16, numberToFloat16 } from "../tensor/float16.ts";
import { Tensor } from "../tensor/tensor.ts";
import { UnsupportedError } from "../util/errors.ts";
import { createRandom, type Random } from "../util/random.ts";
import { SEQUENCE, type ShapeCandidate, type ShapeOptions, shapeCandidates } from "./candidate-shapes.ts";
import { drawPages } from "./generate-image.ts";

/** Small enough for the embedding tables of character models. */
const DEFAULT_VOCABULARY = 32;

export interface GenerateOptions extends ShapeOptions {
  /** Default 0. The same seed gives the same values on every machine. */
  readonly seed?: number;
  /** Integer inputs that are indices get values below this. Default 32. */
  readonly vocabulary?: number;
}

/** One guess at what a model takes: complete shapes and inputs of these shapes. */
export interface FeedCandidate extends ShapeCandidate {
  readonly inputs: Tensors;
}

/**
 * Complete inputs to try, best guess first: run each until one works, then give its `shapes` to {@link generateInputs}.
 * Values are made when a candidate is taken.
 * @throws OptionError for options that do not fit the inputs; UnsupportedError for inputs that are no tensors.
 */
export function* candidateFeeds(ports: readonly Port[], options: GenerateOptions = {}): Generator<FeedCandidate> {
  for (const candidate of shapeCandidates(ports, options)) {
    yield { ...candidate, inputs: generateSample(ports, candidate.shapes, 0, options) };
  }
}

/**
 * A source of `count` (default 1) generated samples, all of the same shapes: those of `shapes` and `dims`, the first
 * guess where they leave something open. Values are made while iterating, the same ones each time: pictures pages with
 * strokes, other floats normal (mean 0, deviation 1), indices below `vocabulary`, bytes 0–255, masks 1, token types 0, positions 0, 1, 2, …,
 * a sampling rate 16000, lengths the sequence's.
 * @throws OptionError for options that do not fit the inputs; UnsupportedError for inputs that are no tensors.
 */
export function generateInputs(
  ports: readonly Port[],
  options: GenerateOptions & { readonly count?: number } = {},
): DataSource {
  const { count = 1, seed = 0 } = options;
  const { shapes } = shapeCandidates(ports, options).next().value as ShapeCandidate;
  return {
    name: `generated (${count} sample${count === 1 ? "" : "s"}, seed ${seed})`,
    length: count,
    generated: true,
    *samples() {
      for (let i = 0; i < count; i++) yield { inputs: generateSample(ports, shapes, i, options) };
    },
  };
}

function generateSample(
  ports: readonly Port[],
  shapes: ShapeCandidate["shapes"],
  index: number,
  { seed = 0, vocabulary = DEFAULT_VOCABULARY }: GenerateOptions,
): Tensors {
  const random = createRandom(seed + Math.imul(index, 0x9e3779b1));
  const ids = ports.find((port) => port.dtype === "int64" && shapes[port.name]!.length === 2);
  const sequence = ids === undefined ? SEQUENCE : shapes[ids.name]![1]!;
  return Object.fromEntries(
    ports.map((port) => {
      const dims = shapes[port.name]!;
      return [port.name, fillTensor(port, dims, valueRule(port, dims, { random, vocabulary, sequence }))];
    }),
  );
}

interface Context {
  readonly random: Random;
  readonly vocabulary: number;
  readonly sequence: number;
}

/** How the element at a flat index is made, by the input's name, then by its type. */
function valueRule(
  port: Port,
  dims: readonly number[],
  { random, vocabulary, sequence }: Context,
): (i: number) => number {
  const name = port.name.toLowerCase();
  const single = elementCount(dims) === 1 && dims.length <= 1;
  const last = dims.at(-1) ?? 1;
  if (/^sr$|sampl(e|ing)_?rate/.test(name)) return () => 16000;
  if (/masked_pos/.test(name)) return () => 0;
  if (/mask/.test(name)) return () => 1;
  if (/token_type|segment/.test(name)) return () => 0;
  if (/position/.test(name)) return (i) => i % last;
  const pages = drawPages(dims, random);
  switch (port.dtype) {
    case "bool":
      // A single one is a switch such as use_cache_branch: off, which needs nothing else.
      return single ? () => 0 : () => random.integer(2);
    case "uint8":
      return pages === undefined ? () => random.integer(256) : (i) => Math.min(Math.max(128 + 70 * pages[i]!, 0), 255);
    case "int8":
      return () => random.integer(256) - 128;
    case "float32":
    case "float64":
    case "float16":
    case "bfloat16":
      // A single one is a factor such as speed or temperature.
      if (single) return () => 1;
      return pages === undefined ? () => random.normal() : (i) => pages[i]!;
    default:
      if (dims.length <= 1 && /len|num_|count|size/.test(name)) return () => sequence;
      return single ? () => 1 : () => random.integer(vocabulary);
  }
}

function fillTensor(port: Port, dims: readonly number[], value: (i: number) => number): Tensor {
  const count = elementCount(dims);
  const from = { length: count };
  const each = (_: unknown, i: number): number => value(i);
  switch (port.dtype) {
    case "float32":
      return Tensor.of("float32", dims, Float32Array.from(from, each));
    case "float64":
      return Tensor.of("float64", dims, Float64Array.from(from, each));
    case "float16":
      return Tensor.of(
        "float16",
        dims,
        Uint16Array.from(from, (_, i) => numberToFloat16(value(i))),
      );
    case "bfloat16":
      return Tensor.of(
        "bfloat16",
        dims,
        Uint16Array.from(from, (_, i) => numberToBfloat16(value(i))),
      );
    case "int8":
      return Tensor.of("int8", dims, Int8Array.from(from, each));
    case "uint8":
    case "bool":
      return Tensor.of(port.dtype, dims, Uint8Array.from(from, each));
    case "int16":
      return Tensor.of("int16", dims, Int16Array.from(from, each));
    case "uint16":
      return Tensor.of("uint16", dims, Uint16Array.from(from, each));
    case "int32":
      return Tensor.of("int32", dims, Int32Array.from(from, each));
    case "uint32":
      return Tensor.of("uint32", dims, Uint32Array.from(from, each));
    case "int64":
      return Tensor.of(
        "int64",
        dims,
        BigInt64Array.from({ length: count } as ArrayLike<bigint>, (_, i) => BigInt(value(i))),
      );
    case "uint64":
      return Tensor.of(
        "uint64",
        dims,
        BigUint64Array.from({ length: count } as ArrayLike<bigint>, (_, i) => BigInt(value(i))),
      );
    case "string":
      return Tensor.strings(dims, new Array<string>(count).fill("a"));
    default:
      throw new UnsupportedError({
        area: "data",
        subject: `input "${port.name}"`,
        problem: `expected a tensor type that can be generated, got ${port.dtype ?? "a value that is not a tensor"}`,
        help: "Give your own data.",
      });
  }
}
