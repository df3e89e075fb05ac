/** @file Tests of block-convolutions.ts: whole numbers, so that sums are exact in any order. */
import { expect, test } from "vitest";
import { bytesOf, modelOf, opCounts, runtimes } from "../../test/helpers.ts";
import { channelBlock } from "../runtime/channel-block.ts";
import { observeShapes } from "../runtime/collect.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { blockConvolutions } from "./block-convolutions.ts";

/** Replaced: c1 (bias), d1 (the same input), c2 (depthwise, stride with a rest), c3 (SAME). Not: a stem of 3 channels, one tap, constant weights. */
const NET = `(float[2, 3, 9, 8] x, float[16, 3, 3, 3] w0, float[16, 16, 3, 3] w1, float[16] b1, float[16, 1, 3, 3] w2,
    float[16, 16, 2, 2] w3, float[16, 16, 1, 1] w4, float[16, 16, 1, 2] w5)
  => (float[2, 16, H, W] y, float[2, 16, 9, 8] c1, float[2, 16, 9, 8] d1) {
    c0 = Conv <pads = [1, 1, 1, 1]> (x, w0)
    c1 = Conv <pads = [1, 1, 1, 1]> (c0, w1, b1)
    d1 = Conv <pads = [1, 1, 1, 1]> (c0, w1)
    r1 = Relu (c1)
    c2 = Conv <pads = [1, 0, 0, 1], strides = [2, 2], group = 16> (r1, w2)
    c3 = Conv <auto_pad = "SAME_LOWER"> (c2, w3)
    c4 = Conv (c3, w4)
    c5 = Conv (c4, w5)
    y = Identity (c5)
  }`;

test("the same results", async () => {
  const runtime = await runtimes.node();
  const block = await channelBlock(runtime);
  const random = createRandom(1);
  const whole = (dims: readonly number[]): Tensor => {
    const size = dims.reduce((all, n) => all * n, 1);
    return Tensor.float32(
      dims,
      Float32Array.from({ length: size }, () => random.integer(3) - 1),
    );
  };
  const model = modelOf(NET);
  const w5 = model.graph.inputs.pop()!;
  w5.initializer = whole([16, 16, 1, 2]);
  model.graph.initializers.add(w5);
  const feeds = Object.fromEntries(model.graph.inputs.map(({ name, shape }) => [name, whole(shape as number[])]));
  const run = async () => {
    const session = await runtime.load({ bytes: bytesOf(model) });
    const results = await session.run(feeds);
    await session.release();
    return results;
  };
  const shapes = await observeShapes(model, runtime, feeds);
  const before = await run();
  // Machines without such a layout have nothing to compare: there, no size of block is right.
  const count = blockConvolutions(model.graph, shapes, block ?? 16);
  expect(count).toBe(4);
  expect(opCounts(model).ReorderInput).toBe(3);
  expect(opCounts(model).ReorderOutput).toBe(4);
  if (block === undefined) return;
  const after = await run();
  for (const name of ["y", "c1", "d1"]) {
    expect(after[name]!.dims).toEqual(before[name]!.dims);
    expect(after[name]!.floats()).toEqual(before[name]!.floats());
  }
});
