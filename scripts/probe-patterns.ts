/**
 * @file The patterns that `npm run probe` times: float models built in code, quantized by Tersor's own steps, so that
 * what is timed is what is written. A few equal layers in a row spread the cost of the edges, as in real nets.
 */
import type { AddOptions } from "../src/graph/graph.ts";
import { Model } from "../src/graph/model.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import type { Value } from "../src/graph/value.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { dynamicInt8 } from "../src/quantize/dynamic-int8.ts";
import { staticInt8 } from "../src/quantize/static-int8.ts";
import { weightInt8 } from "../src/quantize/weight-int8.ts";
import type { Runtime } from "../src/runtime/runtime.ts";
import type { SpeedFact } from "../src/runtime/speed.ts";
import type { Sample } from "../src/step/data.ts";
import { runStep } from "../src/step/run.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { createRandom } from "../src/util/random.ts";

/**
 * What one model computes: `x` [rows, size] times [size, size], a convolution that keeps [1, channels, side, side], or
 * such convolutions with an operator between one and the next.
 */
export type Shape =
  | { readonly kind: "matmul"; readonly rows: number; readonly size: number }
  | {
      readonly kind: "conv";
      readonly kernel: number;
      readonly channels: number;
      readonly side: number;
      readonly depthwise: boolean;
    }
  | { readonly kind: "between"; readonly op: BetweenOp; readonly channels: number; readonly side: number };

type BetweenOp = "Add" | "Mul" | "AveragePool" | "MaxPool" | "Concat";

export interface ProbeCase {
  readonly pattern: SpeedFact["pattern"];
  /** See {@link SpeedFact}. */
  readonly size?: number;
  /** The ratio of a case is the geometric mean over its shapes. */
  readonly shapes: readonly Shape[];
}

const conv = (kernel: number, channels: number, side: number): Shape => ({
  kind: "conv",
  kernel,
  channels,
  side,
  depthwise: false,
});

/** By products per output element. */
const CONVS: readonly (readonly [size: number, shapes: readonly Shape[]])[] = [
  [32, [conv(1, 32, 56)]],
  [64, [conv(1, 64, 56), conv(1, 64, 28)]],
  [128, [conv(1, 128, 28)]],
  [256, [conv(1, 256, 14), conv(1, 256, 28)]],
  [576, [conv(3, 64, 28)]],
  [2304, [conv(3, 256, 14)]],
];

const between = (op: BetweenOp): Shape[] => [
  { kind: "between", op, channels: 64, side: 28 },
  { kind: "between", op, channels: 256, side: 14 },
];

const DEPTHWISE = [conv(3, 128, 28), conv(5, 240, 14)].map((shape) => ({ ...shape, depthwise: true }));

const ROWS = [1, 4, 16, 64, 256];

/** K = N. The weights of the smaller fit a cache, those of the larger do not. */
const SIZES = [256, 768];

const matmuls = (pattern: SpeedFact["pattern"]): ProbeCase[] =>
  ROWS.map((rows) => ({ pattern, size: rows, shapes: SIZES.map((size) => ({ kind: "matmul", rows, size })) }));

const convs = (pattern: SpeedFact["pattern"]): ProbeCase[] =>
  CONVS.map(([size, shapes]) => ({ pattern, size, shapes }));

export const CASES: readonly ProbeCase[] = [
  ...matmuls("dynamic-matmul"),
  ...matmuls("static-matmul"),
  ...matmuls("dequantized-matmul"),
  ...convs("dynamic-conv"),
  ...convs("static-conv"),
  { pattern: "dynamic-conv-depthwise", shapes: DEPTHWISE },
  { pattern: "static-conv-depthwise", shapes: DEPTHWISE },
  { pattern: "static-add", shapes: between("Add") },
  { pattern: "static-mul", shapes: between("Mul") },
  { pattern: "static-average-pool", shapes: between("AveragePool") },
  { pattern: "static-max-pool", shapes: between("MaxPool") },
  { pattern: "static-concat", shapes: between("Concat") },
];

export function describeShape(shape: Shape): string {
  if (shape.kind === "matmul") return `[${shape.rows}, ${shape.size}] × [${shape.size}, ${shape.size}]`;
  if (shape.kind === "between") return `${shape.op} ${shape.channels} ch ${shape.side}²`;
  return `${shape.kernel}×${shape.kernel} ${shape.channels} ch ${shape.side}²${shape.depthwise ? " depthwise" : ""}`;
}

/** Enough layers for the work to outweigh the cost of a call, some 30 µs. */
function layersOf(shape: Shape): number {
  return shape.kind === "matmul" && shape.rows <= 4 ? 12 : 3;
}

function inputDims(shape: Shape): number[] {
  return shape.kind === "matmul" ? [shape.rows, shape.size] : [1, shape.channels, shape.side, shape.side];
}

/** Normal numbers times `deviation`. */
function normal(dims: readonly number[], deviation: number, seed: number): Tensor {
  const random = createRandom(seed);
  const count = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: count }, () => deviation * random.normal()),
  );
}

/**
 * Layers of MatMul or Conv, each with an activation, with weights that keep the variance (He et al. 2015). Behind Conv
 * it is Relu, which is fused in float and in integers; behind MatMul it is one that is not, as LayerNormalization, Gelu
 * and Softmax of transformers are not. (Behind Relu, ONNX Runtime 1.30 leaves DequantizeLinear → MatMul as it is.)
 */
function build(shape: Shape): Model {
  const model = new Model();
  model.irVersion = 8;
  model.opset = 17;
  const { graph } = model;
  graph.name = "probe";
  const x = graph.newValue("x");
  x.setTensorType("float32", inputDims(shape));
  graph.inputs.push(x);
  if (shape.kind === "between") {
    buildBetween(model, x, shape);
    return model;
  }
  let fanIn: number;
  let dims: number[];
  if (shape.kind === "matmul") {
    fanIn = shape.size;
    dims = [shape.size, shape.size];
  } else {
    const perGroup = shape.depthwise ? 1 : shape.channels;
    fanIn = perGroup * shape.kernel ** 2;
    dims = [shape.channels, perGroup, shape.kernel, shape.kernel];
  }
  const weight = normal(dims, Math.sqrt(2 / fanIn), 1);
  let value: Value = x;
  for (let layer = 0; layer < layersOf(shape); layer++) {
    const inputs = [value, graph.addInitializer(`w${layer}`, weight)];
    if (shape.kind === "matmul") value = graph.add("MatMul", inputs, { name: `layer${layer}` }).output();
    else {
      const pad = (shape.kernel - 1) / 2;
      inputs.push(graph.addInitializer(`b${layer}`, normal([shape.channels], 0.1, 2)));
      value = graph
        .add("Conv", inputs, {
          name: `layer${layer}`,
          attributes: { pads: { ints: [pad, pad, pad, pad] }, group: { int: shape.depthwise ? shape.channels : 1 } },
        })
        .output();
    }
    value = graph.add(shape.kind === "conv" ? "Relu" : "LeakyRelu", [value], { name: `activation${layer}` }).output();
  }
  value.setTensorType("float32", inputDims(shape));
  graph.setOutputs([value]);
  return model;
}

/** Blocks of a convolution and the operator. Pooling keeps the size (3×3, stride 1), so that blocks are alike. */
function buildBetween(model: Model, x: Value, { op, channels, side }: Extract<Shape, { kind: "between" }>): void {
  const { graph } = model;
  let value = x;
  let width = channels;
  const pads = { pads: { ints: [1, 1, 1, 1] } };
  const convolve = (input: Value, inputs: number, name: string): Value => {
    const weight = normal([channels, inputs, 3, 3], Math.sqrt(1 / (9 * inputs)), 1);
    const operands = [input, graph.addInitializer(`${name}_w`, weight)];
    return graph.add("Conv", operands, { name, attributes: pads }).output();
  };
  for (let block = 0; block < BLOCKS; block++) {
    const a = convolve(value, width, `a${block}`);
    if (op === "AveragePool" || op === "MaxPool") {
      const pool = { kernel_shape: { ints: [3, 3] }, ...pads };
      value = graph.add(op, [a], { name: `between${block}`, attributes: pool }).output();
      continue;
    }
    // As in residual and dense nets: what one block reads, a later one reads as well.
    const attributes: AddOptions["attributes"] = op === "Concat" ? { axis: { int: 1 } } : {};
    value = graph.add(op, [a, value], { name: `between${block}`, attributes }).output();
    if (op === "Add") value = graph.add("Relu", [value], { name: `relu${block}` }).output();
    if (op === "Concat") width += channels;
  }
  value = convolve(value, width, "last");
  value.setTensorType("float32", [1, channels, side, side]);
  graph.setOutputs([value]);
}

const BLOCKS = 3;

export interface ProbeModels {
  /** What the other one is compared with: the float model; for operators between others, all but them on integers. */
  readonly reference: Uint8Array;
  readonly quantized: Uint8Array;
  readonly sample: Sample;
}

/** The model that a pattern's scheme makes of a shape, and what its speed is compared with. */
export async function probeModels(
  pattern: SpeedFact["pattern"],
  shape: Shape,
  target: SpeedFact["target"],
  runtime: Runtime,
): Promise<ProbeModels> {
  const samples = [3, 4, 5].map((seed) => ({ inputs: { x: normal(inputDims(shape), 1, seed) } }));
  const calibration = { name: "probe", length: samples.length, samples: () => samples };
  const model = build(shape);
  const common = { target: [target], force: true, minElements: 1 };
  const integer = { ...common, storeRest: false };
  const context = { runtime, calibration };
  const bytes = (of: Model): Uint8Array => joinChunks(encodeModel(toOnnx(of)));
  if (shape.kind === "between") {
    await runStep(model, staticInt8, integer, context);
    const nodes = [...model.graph.nodes()].filter((node) => node.is(shape.op));
    if (nodes.some((node) => !node.input(0).producer?.is("DequantizeLinear"))) {
      throw new Error(`${pattern}: expected ${shape.op} on integers, got it in float`);
    }
    const reference = build(shape);
    await runStep(reference, staticInt8, { ...integer, excludeOps: [shape.op] }, context);
    return { reference: bytes(reference), quantized: bytes(model), sample: samples[0]! };
  }
  const report = pattern.startsWith("dynamic")
    ? await runStep(model, dynamicInt8, integer, context)
    : pattern.startsWith("static")
      ? await runStep(model, staticInt8, integer, context)
      : await runStep(model, weightInt8, { ...common, storage: "dequantize-linear" }, context);
  if (report.changed !== layersOf(shape)) {
    const reasons = (report.leftAlone ?? []).map(({ reason }) => reason).join("; ");
    throw new Error(`${pattern}: expected ${layersOf(shape)} quantized layers, got ${report.changed} (${reasons})`);
  }
  return { reference: bytes(build(shape)), quantized: bytes(model), sample: samples[0]! };
}
