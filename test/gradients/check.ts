/**
 * @file Checks a gradient rule against the operator itself, run by ONNX Runtime: no formula of ours is on the other side.
 *
 * For one input x, a direction d and a seed s (the gradient of output y): ⟨s, f(x + d) − f(x)⟩ = ⟨dx, d⟩ exactly where f is
 * linear in x (or piecewise, with d too short to reach the next piece); for all others central differences
 * D(h) = ⟨s, f(x + hd) − f(x − hd)⟩ / 2h, whose error is what D(h) and D(h/2) differ by, plus rounding.
 */
import { expect } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import type { GradientRow } from "../../src/autodiff/rule.ts";
import type { Attributes } from "../../src/graph/builder.ts";
import { Model } from "../../src/graph/model.ts";
import { irVersionFor } from "../../src/graph/ops/versions.ts";
import type { Value } from "../../src/graph/value.ts";
import { channelBlock } from "../../src/runtime/channel-block.ts";
import { observeShapes } from "../../src/runtime/collect.ts";
import type { Session, Tensors } from "../../src/runtime/runtime.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom, type Random } from "../../src/util/random.ts";
import { bytesOf, runtimes } from "../helpers.ts";

/**
 * One input of a case. Dimensions alone: random values, whole numbers from −3 to 3 for linear cases and standard normal
 * ones for others. `low`, `high`: uniform between them. `distinct`: all different, a multiple of it apart, none within half
 * of it of 0: for operators that compare. A tensor: a constant. null: left out.
 */
export type CaseInput =
  | readonly number[]
  | { readonly dims: readonly number[]; readonly low: number; readonly high: number }
  | { readonly dims: readonly number[]; readonly distinct: number }
  /** Given at run time, not differentiated: indices, conditions. */
  | { readonly fed: Tensor }
  | Tensor
  | null;

export interface GradientCase {
  /** What is special about it. */
  readonly name: string;
  readonly inputs: readonly CaseInput[];
  readonly attributes?: Attributes;
  /** Outputs of the node. Default 1. */
  readonly outputs?: number;
  /** Outputs whose gradient is passed back, one after the other. Default: the first. */
  readonly through?: readonly number[];
  /** Inputs to check. Default: all that are not constant. */
  readonly wrt?: readonly number[];
  /** y is linear in each single input, or piecewise for inputs that are `distinct`. */
  readonly linear?: boolean;
  /** Default 17. */
  readonly opset?: number;
  /** Step of central differences. Default 1/32. */
  readonly h?: number;
}

const PROBES = 3;
/** Half a unit in the last place of a float32, relative. */
const EPS = 2 ** -24;
/** Roundings that may add up in one output of a small case. */
const ROUNDINGS = 8;
/** A central difference that is less certain than this share of what it measures shows nothing. */
const MEANINGFUL = 0.02;

type DrawnInput = Exclude<CaseInput, Tensor | null | { readonly fed: Tensor }>;

const isTensor = (input: CaseInput): input is Tensor => input instanceof Tensor;
const isFed = (input: CaseInput): input is { fed: Tensor } => input !== null && "fed" in input;

interface Built {
  readonly session: Session;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly wrt: readonly string[];
  /** All ways to compute a part of the gradient, by part. */
  readonly offered: ReadonlyMap<string, readonly string[]>;
  /** Name of each output with the gradients that its seed makes, by input. */
  readonly outputs: readonly { readonly name: string; readonly seed: string; readonly gradients: readonly string[] }[];
}

/** Ways in blocks of channels are checked where there are any. */
let foundBlock: Promise<number | undefined> | undefined;
async function block(): Promise<number | undefined> {
  foundBlock ??= runtimes.node().then(channelBlock);
  return foundBlock;
}

/** Names of ways by the part that they compute. */
type Ways = Readonly<Record<string, string>>;

async function build(
  opType: string,
  test: GradientCase,
  random: Random,
  ways: Ways,
  row?: GradientRow,
): Promise<Built> {
  const runtime = await runtimes.node();
  const model = new Model();
  model.opset = test.opset ?? 17;
  model.irVersion = irVersionFor(model.opset);
  const { graph } = model;
  const feeds: Record<string, Tensor> = {};
  const values = test.inputs.map((input, i): Value | undefined => {
    if (input === null) return undefined;
    if (isTensor(input)) return graph.addInitializer(`c${i}`, input);
    const tensor = isFed(input) ? input.fed : sample(input as DrawnInput, test, random);
    const value = graph.newValue(`x${i}`);
    value.setTensorType(tensor.dtype, tensor.dims);
    graph.inputs.push(value);
    feeds[value.name] = tensor;
    return value;
  });
  const node = graph.add(opType, values, {
    outputs: Array.from({ length: test.outputs ?? 1 }, (_, i) => `y${i}`),
    attributes: test.attributes ?? {},
  });
  graph.setOutputs(node.outputs.map((output) => output!));
  const shapes = new Map(await observeShapes(model, runtime, feeds));
  const wrt = values.filter(
    (value, i): value is Value =>
      value?.isInput === true && !isFed(test.inputs[i]!) && (test.wrt === undefined || test.wrt.includes(i)),
  );
  const through = test.through ?? [0];
  const offered = new Map<string, readonly string[]>();
  const channels = await block();
  const outputs = through.map((index) => {
    const loss = node.output(index);
    const dims = shapes.get(loss)!;
    const seed = graph.newValue(`seed${index}`);
    seed.setTensorType("float32", dims);
    graph.inputs.push(seed);
    shapes.set(seed, dims);
    const size = elementCount(dims);
    feeds[seed.name] = Tensor.float32(
      dims,
      Float32Array.from({ length: size }, () => (test.linear ? random.integer(7) - 3 : random.normal())),
    );
    const choose = (_node: unknown, part: string, names: readonly string[]): string => {
      offered.set(part, names);
      return ways[part] ?? names[0]!;
    };
    const { gradients } = differentiate({
      loss,
      wrt,
      shapes,
      seed,
      choose,
      block: channels,
      ...(row !== undefined && { rules: () => row }),
    });
    return { loss, seed, gradients: wrt.map((value) => gradients.get(value)!) };
  });
  const fetched = new Set([...node.outputs, ...outputs.flatMap(({ gradients }) => gradients)]);
  // A gradient may be an input or initializer itself (Add passes its seed on): outputs need a producer.
  const named = new Map([...fetched].map((value) => [value!, graph.add("Identity", [value], {}).output()] as const));
  graph.setOutputs([...named.values()]);
  const session = await runtime.load({ bytes: bytesOf(model) }, { config: { "session.disable_quant_qdq": "1" } });
  return {
    session,
    feeds,
    offered,
    wrt: wrt.map(({ name }) => name),
    outputs: outputs.map(({ loss, seed, gradients }) => ({
      name: named.get(loss)!.name,
      seed: seed.name,
      gradients: gradients.map((value) => named.get(value)!.name),
    })),
  };
}

function sample(input: DrawnInput, test: GradientCase, random: Random): Tensor {
  if (!("dims" in input)) {
    const make = (): number => (test.linear ? random.integer(7) - 3 : random.normal());
    return Tensor.float32(input, Float32Array.from({ length: elementCount(input) }, make));
  }
  const { dims } = input;
  const size = elementCount(dims);
  if ("distinct" in input) {
    const order = random.shuffle(Array.from({ length: size }, (_, i) => i));
    const middle = Math.floor(size / 2) - 0.5;
    return Tensor.float32(
      dims,
      Float32Array.from(order, (i) => (i - middle) * input.distinct),
    );
  }
  return Tensor.float32(
    dims,
    Float32Array.from({ length: size }, () => input.low + (input.high - input.low) * random.next()),
  );
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const size = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + Math.abs(x * b[i]!), 0);

/**
 * Runs all probes of one case, once for every way to compute a part of the gradient; of `row` instead of the operator's own
 * where it is given.
 */
export async function checkGradient(opType: string, test: GradientCase, seed = 1, row?: GradientRow): Promise<void> {
  const offered = await checkWays(opType, test, seed, {}, row);
  for (const [part, ways] of offered) {
    for (const way of ways.slice(1)) await checkWays(opType, test, seed, { [part]: way }, row);
  }
}

/** @returns All ways by part; those that are not given are the first ones. */
async function checkWays(
  opType: string,
  test: GradientCase,
  seed: number,
  ways: Ways,
  row: GradientRow | undefined,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const chosen = Object.entries(ways).map(([part, way]) => ` (${part}: ${way})`);
  const label = `${opType} ${test.name}${chosen.join("")}`;
  const random = createRandom(seed);
  const built = await build(opType, test, random, ways, row);
  const run = (feeds: Tensors): Promise<Tensors> => built.session.run(feeds);
  try {
    const base = await run(built.feeds);
    for (const [w, name] of built.wrt.entries()) {
      const x = built.feeds[name]!;
      const input = test.inputs[Number(name.slice(1))]!;
      const step = "distinct" in input ? input.distinct / 8 : 1;
      for (let probe = 0; probe < PROBES; probe++) {
        const d = Float32Array.from({ length: x.size }, () =>
          test.linear ? step * (random.integer(3) - 1) : random.normal(),
        );
        const at = async (h: number): Promise<Tensors> =>
          run({
            ...built.feeds,
            [name]: Tensor.float32(
              x.dims,
              x.floats().map((value, i) => value + h * d[i]!),
            ),
          });
        const moved = new Map<number, Tensors>();
        const h = test.h ?? 1 / 32;
        for (const step of test.linear ? [1] : [h, -h, h / 2, -h / 2]) moved.set(step, await at(step));
        for (const output of built.outputs) {
          const s = built.feeds[output.seed]!.floats();
          const [y, dx] = [base[output.name]!.floats(), base[output.gradients[w]!]!];
          expect(dx.dims, `${label}: dimensions of the gradient of ${name}`).toEqual(x.dims);
          const ours = dot(dx.floats(), d);
          const value = (step: number): number => dot(s, moved.get(step)![output.name]!.floats());
          const weight = size(s, y) + size(dx.floats(), d);
          const where = `${label}: ${name}, probe ${probe}`;
          if (test.linear) {
            const error = Math.abs(value(1) - dot(s, y) - ours);
            expect(error, where).toBeLessThanOrEqual(
              ROUNDINGS * EPS * (weight + size(s, moved.get(1)![output.name]!.floats())),
            );
            continue;
          }
          const [wide, narrow] = [(value(h) - value(-h)) / (2 * h), (value(h / 2) - value(-h / 2)) / h];
          // D(h) − D(h/2) is 3/4 of the h² term of D(h), so three times the one of D(h/2).
          const bound = Math.abs(wide - narrow) + (ROUNDINGS * EPS * weight) / h;
          expect(bound, `${where}: the difference says little`).toBeLessThanOrEqual(
            MEANINGFUL * Math.max(size(dx.floats(), d), size(s, y), 1e-3),
          );
          expect(Math.abs(narrow - ours), where).toBeLessThanOrEqual(bound);
        }
      }
    }
  } finally {
    await built.session.release();
  }
  return built.offered;
}
