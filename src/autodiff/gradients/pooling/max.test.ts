/** @file Ties: of equal inputs the first of a window takes the gradient, whichever way it is computed. */
import { describe, expect, test } from "vitest";
import { bytesOf, modelOf, runtimes } from "../../../../test/helpers.ts";
import { Builder } from "../../../graph/builder.ts";
import { observeShapes } from "../../../runtime/collect.ts";
import { Tensor } from "../../../tensor/tensor.ts";
import { differentiate } from "../../differentiate.ts";

const [HEIGHT, WIDTH] = [6, 6];

/** Plain loops: the first of the largest of every window. */
function expected(x: readonly number[], kernel: number, stride: number): number[] {
  const dx = x.map(() => 0);
  for (let top = 0; top + kernel <= HEIGHT; top += stride) {
    for (let left = 0; left + kernel <= WIDTH; left += stride) {
      let best = top * WIDTH + left;
      for (let i = 0; i < kernel ** 2; i++) {
        const at = (top + Math.floor(i / kernel)) * WIDTH + left + (i % kernel);
        if (x[at]! > x[best]!) best = at;
      }
      dx[best]! += 1;
    }
  }
  return dx;
}

describe("ties of MaxPool", () => {
  // Few different values: most windows have a tie.
  const x = Array.from({ length: HEIGHT * WIDTH }, (_, i) => (i * 7) % 3);
  for (const [kernel, stride, way] of [
    [2, 2, "repeated"],
    [2, 2, "taps"],
    [2, 2, "indices"],
    [3, 1, "taps"],
    [3, 1, "indices"],
  ] as const) {
    test(`${kernel} × ${kernel}, stride ${stride}, ${way}`, async () => {
      const runtime = await runtimes.node();
      const model = modelOf(`(float[1, 1, ${HEIGHT}, ${WIDTH}] x) => (float[1, 1, H, W] y) {
        y = MaxPool <kernel_shape = [${kernel}, ${kernel}], strides = [${stride}, ${stride}]> (x)
      }`);
      const feeds = { x: Tensor.float32([1, 1, HEIGHT, WIDTH], x) };
      const shapes = await observeShapes(model, runtime, feeds);
      const [input, loss] = [model.graph.inputs[0]!, model.graph.outputs[0]!];
      const { gradients } = differentiate({
        loss,
        wrt: [input],
        shapes,
        seed: new Builder(model.graph).full(1, shapes.get(loss)!),
        choose: (_node, part, ways) => (part === "dX" ? ways.find((name) => name === way)! : ways[0]!),
      });
      const dx = gradients.get(input)!;
      model.graph.setOutputs([dx]);
      const session = await runtime.load({ bytes: bytesOf(model) });
      const result = await session.run(feeds);
      await session.release();
      expect([...result[dx.name]!.floats()]).toEqual(expected(x, kernel, stride));
    });
  }
});
