/**
 * @file Gradients of convolutions, in any number of spatial dimensions. A transposed convolution is the adjoint of a
 * convolution, so its gradients are that convolution and the same weight gradient with x and dy in each other's place.
 * Source: ONNX Conv-11, ConvTranspose-11; Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4.
 */
import type { Value } from "../../graph/value.ts";
import { defineGradients, type GradientContext } from "../rule.ts";
import { inputGradient, inputWays } from "./convolution/input.ts";
import type { ConvShape } from "./convolution/shape.ts";
import { weightGradient, weightWays } from "./convolution/weight.ts";
import { spatialOf, tailOf, transposedWindowsOf, windowsOf } from "./windows.ts";

export const CONVOLUTION = defineGradients({
  // y = x ∗ w + b: dx = dy ∗ᵀ w, dw = correlation of x with dy, db = Σ dy
  Conv: {
    rule: (c) => {
      const [x, w] = [c.dims(c.x(0)), c.dims(c.x(1))];
      const shape: ConvShape = {
        batch: x[0]!,
        channels: x[1]!,
        filters: w[0]!,
        groups: c.node.int("group", 1),
        block: c.block,
        windows: windowsOf(c.node, spatialOf(w), spatialOf(x), spatialOf(c.dims(c.y()))),
      };
      return [
        c.wants(0) ? inputGradient(c.choose("dX", inputWays(shape)), c.b, c.dy(), c.x(1), shape) : undefined,
        c.wants(1) ? weightGradient(c.choose("dW", weightWays(shape)), c.b, c.x(0), c.dy(), shape) : undefined,
        c.wants(2) ? biasGradient(c) : undefined,
      ];
    },
  },
  // y = x ∗ᵀ w + b: dx = dy ∗ w, dw = correlation of dy with x, db = Σ dy
  ConvTranspose: {
    rule: (c) => {
      const [x, w, y] = [c.dims(c.x(0)), c.dims(c.x(1)), c.dims(c.y())];
      const shape: ConvShape = {
        batch: x[0]!,
        channels: y[1]!,
        filters: x[1]!,
        groups: c.node.int("group", 1),
        block: c.block,
        windows: transposedWindowsOf(c.node, spatialOf(w), spatialOf(y), spatialOf(x)),
      };
      return [
        c.wants(0) ? convolve(c, shape) : undefined,
        c.wants(1) ? weightGradient(c.choose("dW", weightWays(shape)), c.b, c.dy(), c.x(0), shape) : undefined,
        c.wants(2) ? biasGradient(c) : undefined,
      ];
    },
  },
});

function biasGradient(c: GradientContext): Value {
  const axes = c.dims(c.y()).map((_, axis) => axis);
  return c.b.sum(
    c.dy(),
    axes.filter((axis) => axis !== 1),
    false,
  );
}

/** dy ∗ w. What of dy no window reaches is less than a stride: Conv leaves it out itself. */
function convolve(c: GradientContext, { groups, windows }: ConvShape): Value {
  return c.b.op("Conv", [c.dy(), c.x(1)], {
    group: { int: groups },
    strides: { ints: windows.strides },
    dilations: { ints: windows.dilations },
    kernel_shape: { ints: windows.kernel },
    pads: { ints: [...windows.begin, ...tailOf(windows).map((n) => Math.max(n, 0))] },
  });
}
