/**
 * @file Scheme static-int8: weights and activations in 8 bits, ranges of activations from calibration data. PyTorch's
 * post-training static quantization, in the QDQ form that ONNX Runtime fuses into integer kernels when it loads.
 *
 *   Conv:        DQ(Q(x)), DQ(w), DQ(b) → Conv → [Relu] → Q → DQ      becomes QLinearConv
 *   MatMul/Gemm: DQ(Q(x)), DQ(w) → MatMul                            becomes MatMulIntegerToFloat, QGemm
 *
 * Activations: uint8, asymmetric, per tensor. Weights: int8, symmetric, per output channel. Biases: int32 with the
 * product of both scales. Source: ONNX QuantizeLinear-13, DequantizeLinear-13; Jacob et al. 2018, section 2.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import type { Value } from "../graph/value.ts";
import { upgradeOpset } from "../passes/upgrade-opset.ts";
import { collect, observeShapes } from "../runtime/collect.ts";
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { isFloatingPoint, Tensor } from "../tensor/tensor.ts";
import { messageOf } from "../util/errors.ts";
import { type Candidate, findCandidates, refuseQuantized, slowReason } from "./candidates.ts";
import { firstFeeds } from "./first-feeds.ts";
import { type Bias, findBias, leastScales, replaceBias } from "./integer-bias.ts";
import { createObserver } from "./observers/list.ts";
import type { Observer } from "./observers/observer.ts";
import { computedOptions } from "./options.ts";
import type { QScheme } from "./qparams.ts";
import { storeRemaining } from "./store-remaining.ts";
import { type QuantizedWeight, quantizeWeight, type WeightScheme } from "./weight.ts";

/** Per-axis DequantizeLinear came with opset 13. */
const OPSET = 13;

const ACTIVATIONS: QScheme = { dtype: "uint8", symmetric: false };

export const staticInt8 = defineStep({
  name: "static-int8",
  summary: "Compute Conv, MatMul and Gemm in 8 bits with ranges from calibration data",
  options: z.object({
    ...computedOptions,
    reduceRange: z.boolean().default(false).describe("weights in 7 bits, for x86 processors without VNNI"),
    storeRest: z.boolean().default(true).describe("store the weights that stay in float in 8 bits, too"),
    budget: z.number().min(1).default(256).describe("megabytes of activations held at once while calibrating"),
  }),
  needs: ["runtime", "calibration"],
  async run(model, options, context): Promise<StepReport> {
    refuseQuantized(model);
    upgradeOpset(model, OPSET);
    const runtime = context.runtime!;
    const data = context.calibration!;
    const { found, leftAlone: declined } = findCandidates(model, options);
    const leftAlone: LeftAlone[] = [...declined];
    const leave = ({ node }: Candidate, reason: string): void => {
      leftAlone.push({ subject: node.label, opType: node.opType, reason });
    };

    const feeds = await firstFeeds(data);
    const shapes = feeds && (await observeShapes(model, runtime, feeds));
    const chosen: Prepared[] = [];
    for (const candidate of found) {
      const prepared = prepare(candidate, options, shapes);
      if (typeof prepared === "string") leave(candidate, prepared);
      else chosen.push(prepared);
    }

    const observers = new Map<Value, Observer>();
    for (const { candidate, output } of chosen) {
      observers.set(candidate.x, createObserver("min-max", { scheme: ACTIVATIONS }));
      if (output !== undefined) observers.set(output, createObserver("min-max", { scheme: ACTIVATIONS }));
    }
    const failed = new Map<Value, string>();
    const observe = (point: Value, tensor: Tensor): void => {
      if (!isFloatingPoint(tensor.dtype)) failed.set(point, `${point} is ${tensor.dtype}, not float`);
      if (failed.has(point)) return;
      try {
        observers.get(point)!.observe(tensor.floats(), tensor.dims);
      } catch (error) {
        failed.set(point, `${point}: ${messageOf(error)}`);
      }
    };
    const limits = { budget: options.budget * 1e6, progress: context.progress, signal: context.signal };
    // Without points there is nothing to run for.
    const samples =
      observers.size === 0 ? 0 : await collect(model, runtime, [...observers.keys()], data, observe, limits);

    const ready: Ready[] = [];
    for (const prepared of chosen) {
      const { candidate, output } = prepared;
      const points = output === undefined ? [candidate.x] : [candidate.x, output];
      const failure = points.map((point) => failed.get(point)).find((text) => text !== undefined);
      const qparams = points.map((point) => activationQParams(observers.get(point)!));
      if (failure !== undefined) leave(candidate, failure);
      else if (qparams.includes(undefined)) leave(candidate, "the calibration data never reach it");
      else {
        const fitted = fitBias(prepared, qparams[0]!.scale, options);
        if (typeof fitted === "string") leave(candidate, fitted);
        else ready.push(fitted);
      }
    }

    const pairs = new Pairs(observers);
    // Outputs first: then every user of a convolution's output, quantized or not, reads the pair behind it.
    for (const { output } of ready) if (output !== undefined) pairs.behind(output);
    const tied = new Map<string, Value>();
    for (const entry of ready) rewrite(entry, pairs, tied);
    const stored = options.storeRest ? storeRemaining(model, options, leftAlone) : 0;
    return {
      changed: ready.length + stored,
      changes: [
        `${ready.length} computed in 8 bits, calibrated on ${samples} samples`,
        ...(stored > 0 ? [`${stored} weights stored in 8 bits`] : []),
      ],
      leftAlone,
    };
  },
});

interface Prepared {
  readonly candidate: Candidate;
  readonly weight: QuantizedWeight;
  /** Where the result is quantized: behind a convolution and the Relu that is fused with it. */
  readonly output: Value | undefined;
  /** Dimensions of the left operand, where they were observed. */
  readonly rank: number | undefined;
}

interface Ready extends Prepared {
  /** The bias that is quantized, too. */
  readonly bias: Bias | undefined;
  readonly xScale: number;
}

interface StaticOptions {
  readonly force: boolean;
  readonly minSqnr: number;
  readonly reduceRange: boolean;
  readonly target: Parameters<typeof slowReason>[2];
}

function prepare(
  candidate: Candidate,
  options: StaticOptions,
  shapes: ReadonlyMap<Value, readonly number[]> | undefined,
): Prepared | string {
  const { node, kind, weight, x } = candidate;
  if (node.graph !== node.graph!.model.graph) return "it is in a subgraph, where calibration does not look";
  if (x.graph !== node.graph) return "its input comes from outside of its graph";
  const slow = options.force ? undefined : slowReason(candidate, "static", options.target, shapes);
  if (slow !== undefined) return slow;
  const quantized = quantizeWeight(weight, weightScheme(candidate, options));
  if (typeof quantized === "string") return quantized;
  if (quantized.sqnr < options.minSqnr && !options.force) {
    return `its SQNR would be ${quantized.sqnr.toFixed(1)} dB, under ${options.minSqnr} dB`;
  }
  const convolution = kind === "conv" || kind === "conv-depthwise";
  const output = convolution ? fusedOutput(node) : undefined;
  return { candidate, weight: quantized, output, rank: shapes?.get(x)?.length };
}

function weightScheme({ node, kind, axis }: Candidate, { reduceRange }: StaticOptions): WeightScheme {
  const factor = kind === "gemm" ? node.float("alpha", 1) : 1;
  return { dtype: "int8", granularity: { kind: "per-axis", axis }, reduceRange, factor };
}

/** The output of a convolution, or of the Relu that is its only user: ONNX Runtime fuses that one. */
function fusedOutput(node: Node): Value {
  const user = node.output().onlyUser;
  return user?.is("Relu") && user.graph === node.graph && !isBarrier(user) ? user.output() : node.output();
}

function activationQParams(observer: Observer): { scale: number; zeroPoint: number } | undefined {
  const qparams = observer.qparams();
  return qparams && { scale: qparams.scale[0]!, zeroPoint: qparams.zeroPoint[0]! };
}

/** With larger weight scales where the bias needs them. */
function fitBias(prepared: Prepared, xScale: number, options: StaticOptions): Ready | string {
  const { candidate, weight } = prepared;
  const bias = findBias(candidate, weight.qparams.scale.length);
  const minScale = bias && leastScales(bias, xScale, weight.qparams.scale);
  if (minScale === undefined) return { ...prepared, bias, xScale };
  const fitted = quantizeWeight(candidate.weight, { ...weightScheme(candidate, options), minScale });
  return typeof fitted === "string" ? fitted : { ...prepared, weight: fitted, bias, xScale };
}

/** QuantizeLinear → DequantizeLinear pairs on activations: one for each value. */
class Pairs {
  readonly #observers: ReadonlyMap<Value, Observer>;
  readonly #dequantized: Map<Value, Value> = new Map();

  constructor(observers: ReadonlyMap<Value, Observer>) {
    this.#observers = observers;
  }

  /** Puts a pair behind a value, for all its users. */
  behind(value: Value): void {
    if (this.#dequantized.has(value)) return;
    const { quantize, result } = this.#add(value);
    this.#dequantized.set(value, result);
    value.graph.replaceAllUsesWith(value, result);
    quantize.setInput(0, value);
    // A pair behind a graph's output took its name; the value before it keeps its own.
    this.#dequantized.set(result, result);
  }

  /** The dequantized form of a value, for one user; other users keep reading the value itself. */
  before(value: Value): Value {
    let result = this.#dequantized.get(value);
    if (result === undefined) {
      result = this.#add(value).result;
      this.#dequantized.set(value, result);
    }
    return result;
  }

  #add(value: Value): { readonly quantize: Node; readonly result: Value } {
    const { graph, name, producer } = value;
    const { scale, zeroPoint } = activationQParams(this.#observers.get(value)!)!;
    const parameters = [
      graph.addInitializer(`${name}_scale`, Tensor.scalar("float32", scale)),
      graph.addInitializer(`${name}_zero_point`, Tensor.scalar("uint8", zeroPoint)),
    ];
    const position = producer === undefined ? { before: graph.nodes().next().value } : { after: producer };
    const quantize = graph.add("QuantizeLinear", [value, ...parameters], { name: `${name}_quantize`, ...position });
    const dequantize = graph.add("DequantizeLinear", [quantize.output(), ...parameters], {
      name: `${name}_dequantize`,
      after: quantize,
    });
    return { quantize, result: dequantize.output() };
  }
}

function rewrite({ candidate, weight, bias, xScale, rank }: Ready, pairs: Pairs, tied: Map<string, Value>): void {
  const { node, kind } = candidate;
  const input = node.input(0);
  node.setInput(0, pairs.before(input));
  const weightValue = dequantizedWeight(candidate, weight, tied);
  node.setInput(1, weightValue);
  const float = node.inputs[2];
  if (kind === "gemm") {
    if (float !== undefined && bias === undefined) addAfter(node, float);
    if (node.has("alpha")) node.set("alpha", { float: 1 });
    if (node.has("beta")) node.set("beta", { float: 1 });
  }
  if (bias !== undefined) replaceBias(bias, xScale, weight.qparams.scale);
  // ONNX Runtime makes MatMul and Add a Gemm in float (see findBias); a Gemm it does not fuse with an Add.
  else if (kind === "matmul" && rank === 2 && node.output().onlyUser?.is("Add")) node.opType = "Gemm";
  for (const value of [candidate.weight, bias?.value ?? float]) {
    if (value?.isUnused && value.isConstant) value.graph.removeInitializer(value);
  }
}

/** DequantizeLinear over the weight's codes, one for all nodes that share the weight in the same way (tied weights). */
function dequantizedWeight(
  { node, weight, axis, kind }: Candidate,
  { codes, qparams }: QuantizedWeight,
  tied: Map<string, Value>,
): Value {
  const graph = node.graph!;
  const { name } = weight;
  // Scales differ where one bias needed larger ones than the other.
  const key = `${name} ${axis} ${kind === "gemm" ? node.float("alpha", 1) : 1} ${qparams.scale.join()}`;
  const shared = tied.get(key);
  if (shared !== undefined) return shared;
  const channels = qparams.scale.length;
  const zeros = new Int8Array(channels);
  const result = graph
    .add(
      "DequantizeLinear",
      [
        graph.addInitializer(`${name}_int8`, codes),
        graph.addInitializer(`${name}_scale`, Tensor.float32([channels], qparams.scale)),
        graph.addInitializer(`${name}_zero_point`, Tensor.of("int8", [channels], zeros)),
      ],
      { name: `${name}_dequantize`, before: node, attributes: { axis: { int: axis } } },
    )
    .output();
  tied.set(key, result);
  return result;
}

/** Gemm's β · C as an addition of its own, where C is no plain bias. */
function addAfter(node: Node, c: Value): void {
  const graph = node.graph!;
  const beta = node.float("beta", 1);
  const output = node.output();
  const product = graph.newValue(`${output.name}_product`);
  node.setInput(2, undefined);
  node.setInputs([...node.inputs]);
  node.setOutputs([product]);
  let summand = c;
  if (beta !== 1) {
    const factor = graph.addInitializer(`${node.label}_beta`, Tensor.scalar("float32", beta));
    summand = graph.add("Mul", [c, factor], { name: `${node.label}_c`, before: node }).output();
  }
  graph.add("Add", [product, summand], { name: `${node.label}_bias`, outputs: [output], after: node });
}
