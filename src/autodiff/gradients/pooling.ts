/**
 * @file Gradients of pooling, in any number of spatial dimensions.
 * Source: ONNX MaxPool-12, AveragePool-19, LpPool-18, Global*Pool-1.
 */
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { defineGradients, type GradientContext } from "../rule.ts";
import { maxGradient, maxWays } from "./pooling/max.ts";
import { sumGradient, sumWays } from "./pooling/sum.ts";
import { product, spatialOf, tapsOf, type Windows, windowsOf } from "./windows.ts";

const POOL_ATTRIBUTES = ["kernel_shape", "strides", "pads", "dilations"] as const;

export const POOLING = defineGradients({
  // y = max over the window: dx = dy at the first of the largest. Indices are whole numbers: nothing comes for them.
  MaxPool: {
    rule: (c) => {
      const windows = poolWindows(c);
      const { node, b } = c;
      const pool = (x: Value, indices: boolean): readonly Value[] => {
        const made = b.node("MaxPool", [x], {}, indices ? 2 : 1);
        for (const name of [...POOL_ATTRIBUTES, "auto_pad", "ceil_mode"]) {
          const attribute = node.attributes.get(name);
          if (attribute !== undefined) made.attributes.set(name, attribute);
        }
        return made.outputs.map((output) => output!);
      };
      const way = c.choose("dX", maxWays(windows, b.opset));
      return [maxGradient(way, { b, x: c.x(0), y: c.y(), dy: c.dy(), lead: leadOf(c), windows, pool })];
    },
  },
  // y = (Σ x) / count: dx = adjoint of the sum of dy / count
  AveragePool: {
    rule: (c) => {
      const windows = poolWindows(c);
      return [adjointSum(c, c.b.mul(c.dy(), shares(c, windows)), windows)];
    },
  },
  // y = (Σ |x|ᵖ)^(1/p): dx = |x|ᵖ⁻² x · adjoint of the sum of dy · y¹⁻ᵖ
  LpPool: {
    rule: (c) => [powerGradient(c, (part) => adjointSum(c, part, poolWindows(c)))],
  },
  // y = (Σ x) / P: dx = dy / P
  GlobalAveragePool: {
    rule: (c) => {
      const dims = c.dims(c.x(0));
      return [c.b.expand(c.b.scale(c.dy(), 1 / product(spatialOf(dims))), dims)];
    },
  },
  // y = max x: dx = dy at the first of the largest
  GlobalMaxPool: {
    rule: (c) => {
      const { b } = c;
      const dims = c.dims(c.x(0));
      const points = product(spatialOf(dims));
      const flat = [...leadOf(c), points];
      const winner = b.op("ArgMax", [b.reshape(c.x(0), flat)], { axis: { int: 2 } });
      const places = b.ints(Array.from({ length: points }, (_, i) => i));
      const dx = b.keep(b.op("Equal", [places, winner]), b.reshape(c.dy(), [...leadOf(c), 1]));
      return [b.reshape(dx, dims)];
    },
  },
  GlobalLpPool: { rule: (c) => [powerGradient(c, (part) => part)] },
});

const leadOf = (c: GradientContext): readonly [number, number] => {
  const [n, channels] = c.dims(c.x(0));
  return [n!, channels!];
};

function poolWindows(c: GradientContext): Windows {
  const [x, y] = [spatialOf(c.dims(c.x(0))), spatialOf(c.dims(c.y()))];
  return windowsOf(c.node, c.node.ints("kernel_shape")!, x, y);
}

function adjointSum(c: GradientContext, part: Value, windows: Windows): Value {
  return sumGradient(c.choose("dX", sumWays(windows)), c.b, part, windows, leadOf(c));
}

/**
 * 1 / count of each output: a scalar where all are equal, else [1, 1, …output]. Padding counts when asked for; what a
 * window reaches beyond the padding (ceil_mode) never does.
 */
function shares(c: GradientContext, windows: Windows): Value {
  const { kernel, strides, dilations, begin, input, output } = windows;
  const padded = c.node.int("count_include_pad", 0) === 1;
  const explicit = c.node.string("auto_pad", "NOTSET").startsWith("SAME") ? undefined : (c.node.ints("pads") ?? []);
  const counts = kernel.map((taps, axis) => {
    const tail = explicit === undefined ? Number.POSITIVE_INFINITY : (explicit[kernel.length + axis] ?? 0);
    const [low, high] = padded ? [-begin[axis]!, input[axis]! + tail] : [0, input[axis]!];
    return Array.from({ length: output[axis]! }, (_, o) => {
      const first = o * strides[axis]! - begin[axis]!;
      const places = Array.from({ length: taps }, (_, t) => first + t * dilations[axis]!);
      return places.filter((at) => at >= low && at < high).length;
    });
  });
  const all = tapsOf(output).map((place) => 1 / place.reduce((count, o, axis) => count * counts[axis]![o]!, 1));
  if (all.every((share) => share === all[0])) return c.b.scalar(all[0]!);
  return c.b.initializer(Tensor.float32([1, 1, ...output], all), "shares");
}

/** Gradient of a p-norm; `spread` is the adjoint of the sum in it. All-zero windows get 0. */
function powerGradient(c: GradientContext, spread: (part: Value) => Value): Value {
  const { b } = c;
  const p = c.node.int("p", 2);
  const power = (base: Value, exponent: number): Value => b.op("Pow", [base, b.scalar(exponent)]);
  const [x, y] = [c.x(0), c.y()];
  if (p === 1) return b.mul(b.op("Sign", [x]), spread(c.dy()));
  const nonzero = b.op("Greater", [y, b.scalar(0)]);
  const part = b.keep(nonzero, p === 2 ? b.div(c.dy(), y) : b.mul(c.dy(), power(y, 1 - p)));
  const slope = p === 2 ? x : b.mul(b.op("Sign", [x]), power(b.op("Abs", [x]), p - 1));
  return b.mul(slope, spread(part));
}
