/**
 * @file Finds whether a runtime convolves in blocks of channels, and how many are in one: 8 with AVX2, 16 with AVX-512.
 */
import { blockedConv } from "../graph/blocked-conv.ts";
import { Builder } from "../graph/builder.ts";
import { Model } from "../graph/model.ts";
import { irVersionFor } from "../graph/ops/versions.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import type { Runtime } from "./runtime.ts";

const SIZES = [16, 8] as const;
const OPSET = 17;
/** Sums of 144 products of whole numbers from −3 to 3 are exact, in any order. */
const TOLERANCE = 0;

/** Channels per block, or undefined where there is no such layout. Tried, not looked up: results must be the same. */
export async function channelBlock(runtime: Runtime): Promise<number | undefined> {
  for (const size of SIZES) if (await works(runtime, size)) return size;
  return undefined;
}

async function works(runtime: Runtime, block: number): Promise<boolean> {
  const channels = 2 * block;
  const dims = { x: [1, channels, 5, 6], w: [channels, channels, 3, 3], d: [channels, 1, 3, 3] } as const;
  const model = new Model();
  model.opset = OPSET;
  model.irVersion = irVersionFor(OPSET);
  const b = new Builder(model.graph);
  const random = createRandom(1);
  const feeds: Record<string, Tensor> = {};
  const [x, w, d] = (["x", "w", "d"] as const).map((name) => {
    const value = model.graph.newValue(name);
    value.setTensorType("float32", dims[name]);
    model.graph.inputs.push(value);
    const size = dims[name].reduce((all, n) => all * n, 1);
    feeds[value.name] = Tensor.float32(
      dims[name],
      Float32Array.from({ length: size }, () => random.integer(7) - 3),
    );
    return value;
  });
  const outputs = [
    { weights: w!, groups: 1 },
    { weights: d!, groups: channels },
  ].flatMap(({ weights, groups }) => {
    const shape = { channels, filters: channels, groups, kernel: [3, 3], strides: [1, 1], dilations: [1, 1] };
    const plain = b.op("Conv", [x, weights], { group: { int: groups }, pads: { ints: [1, 1, 1, 1] } });
    return [plain, blockedConv(b, x!, weights, undefined, { ...shape, pads: [1, 1, 1, 1] }, block)];
  });
  model.graph.setOutputs(outputs);
  try {
    const session = await runtime.load({ bytes: joinChunks(encodeModel(toOnnx(model))) });
    try {
      const results = await session.run(feeds);
      const [plain, blocked, plainDepthwise, blockedDepthwise] = outputs.map(({ name }) => results[name]!.floats());
      return same(plain!, blocked!) && same(plainDepthwise!, blockedDepthwise!);
    } finally {
      await session.release();
    }
  } catch {
    // No such operators, or blocks of another size.
    return false;
  }
}

const same = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((value, i) => Math.abs(value - b[i]!) <= TOLERANCE);
