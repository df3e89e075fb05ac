/**
 * @file The patterns that `npm run probe` times: float models built in code, quantized by Tersor's own steps, so that
 * what is timed is what is written. A few equal layers in a row spread the cost of the edges, as in real nets.
 */
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

/** What one model computes: `x` [rows, size] times [size, size], or a convolution that keeps [1, channels, side, side]. */
export type Shape =
  | { readonly kind: "matmul"; readonly rows: number; readonly size: number }
  | {
      readonly kind: "conv";
      readonly kernel: number;
      readonly channels: number;
      readonly side: number;
      readonly depthwise: boolean;
    };

export interface ProbeCase {
  readonly pattern: SpeedFact["pattern"];
  readonly rows?: number;
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

const CONVS = [conv(3, 64, 28), conv(3, 256, 14), conv(1, 256, 14), conv(1, 64, 56)];

const DEPTHWISE = [conv(3, 128, 28), conv(5, 240, 14)].map((shape) => ({ ...shape, depthwise: true }));

const ROWS = [1, 4, 16, 64, 256];

/** K = N. The weights of the smaller fit a cache, those of the larger do not. */
const SIZES = [256, 768];

const matmuls = (pattern: SpeedFact["pattern"]): ProbeCase[] =>
  ROWS.map((rows) => ({ pattern, rows, shapes: SIZES.map((size) => ({ kind: "matmul", rows, size })) }));

export const CASES: readonly ProbeCase[] = [
  ...matmuls("dynamic-matmul"),
  ...matmuls("static-matmul"),
  ...matmuls("dequantized-matmul"),
  { pattern: "dynamic-conv", shapes: CONVS },
  { pattern: "static-conv", shapes: CONVS },
  { pattern: "dynamic-conv-depthwise", shapes: DEPTHWISE },
  { pattern: "static-conv-depthwise", shapes: DEPTHWISE },
];

export function describeShape(shape: Shape): string {
  if (shape.kind === "matmul") return `[${shape.rows}, ${shape.size}] × [${shape.size}, ${shape.size}]`;
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

export interface ProbeModels {
  readonly float: Uint8Array;
  readonly quantized: Uint8Array;
  readonly sample: Sample;
}

/** The float model of a shape and the model that a pattern's scheme makes of it. */
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
  const report = pattern.startsWith("dynamic")
    ? await runStep(model, dynamicInt8, integer, context)
    : pattern.startsWith("static")
      ? await runStep(model, staticInt8, integer, context)
      : await runStep(model, weightInt8, { ...common, storage: "dequantize-linear" }, context);
  if (report.changed !== layersOf(shape)) {
    const reasons = (report.leftAlone ?? []).map(({ reason }) => reason).join("; ");
    throw new Error(`${pattern}: expected ${layersOf(shape)} quantized layers, got ${report.changed} (${reasons})`);
  }
  const bytes = (of: Model): Uint8Array => joinChunks(encodeModel(toOnnx(of)));
  return { float: bytes(build(shape)), quantized: bytes(model), sample: samples[0]! };
}
