/**
 * @file Residual nets for small images. Source: He et al. 2015, section 4.2 (CIFAR-10): 6n + 2 layers, stem with stride 1.
 * Names as in the widely used PyTorch form (conv1, bn1, layer1.0.conv1, …, linear).
 */
import type { Value } from "../../graph/value.ts";
import { sequential } from "../containers.ts";
import { kaimingNormal } from "../init.ts";
import { flatten, relu } from "../layers/activation.ts";
import { conv2d } from "../layers/convolution.ts";
import { linear } from "../layers/linear.ts";
import { batchNorm } from "../layers/normalization.ts";
import { adaptiveAvgPool2d } from "../layers/pooling.ts";
import type { Module } from "../module.ts";

export interface ResnetOptions {
  /** Of the input. Default 3. */
  readonly channels?: number;
  /** Default 10. */
  readonly classes?: number;
  /** Channels of the stages; each after the first halves the image. Default [16, 32, 64]. */
  readonly widths?: readonly number[];
  /** Blocks per stage: n. Default 3, which is ResNet-20. */
  readonly blocks?: number;
  /** Where a block changes the shape: "A" every second pixel and channels of zeros (no parameters), "B" a 1×1 convolution. Default "A". */
  readonly shortcut?: "A" | "B";
}

const weightInit = kaimingNormal();

/** ResNet-20 by default: [N, channels, H, W] (28×28, 32×32, …) → logits [N, classes]. */
export function resnet20(options: ResnetOptions = {}): Module {
  const { channels = 3, classes = 10, widths = [16, 32, 64], blocks = 3, shortcut = "A" } = options;
  const [first] = widths;
  const stages = widths.map((width, stage) => {
    const own = Array.from({ length: blocks }, (_, i) => {
      const into = i > 0 || stage === 0 ? width : widths[stage - 1]!;
      return basicBlock(into, width, i > 0 || stage === 0 ? 1 : 2, shortcut);
    });
    return [`layer${stage + 1}`, sequential(...own)] as const;
  });
  return sequential({
    conv1: conv2d(channels, first!, 3, { padding: 1, bias: false, weightInit }),
    bn1: batchNorm(first!),
    relu: relu(),
    ...Object.fromEntries(stages),
    pool: adaptiveAvgPool2d(1),
    flatten: flatten(),
    linear: linear(widths.at(-1)!, classes, { weightInit }),
  });
}

/** Two 3×3 convolutions, each normalized, and the input added before the last ReLU. */
function basicBlock(into: number, out: number, stride: number, kind: "A" | "B"): Module {
  return (s, x) => {
    const conv = (from: number, step: number): Module =>
      conv2d(from, out, 3, { stride: step, padding: 1, bias: false, weightInit });
    let y = s.child("conv1", conv(into, stride), x);
    y = relu()(s, s.child("bn1", batchNorm(out), y));
    y = s.child("bn2", batchNorm(out), s.child("conv2", conv(out, 1), y));
    const straight = stride === 1 && into === out ? x : s.child("shortcut", shortcutOf(into, out, stride, kind), x);
    return relu()(s, s.typed(s.b.add(y, straight), y.shape));
  };
}

function shortcutOf(into: number, out: number, stride: number, kind: "A" | "B"): Module {
  if (kind === "B") return sequential(conv2d(into, out, 1, { stride, bias: false, weightInit }), batchNorm(out));
  return ({ b }, x): Value => {
    const LAST = Number.MAX_SAFE_INTEGER;
    const fewer = b.slice(x, [0, 0], [LAST, LAST], [2, 3], [stride, stride]);
    const before = Math.floor((out - into) / 2);
    return b.op("Pad", [fewer, b.ints([0, before, 0, 0, 0, out - into - before, 0, 0])]);
  };
}
