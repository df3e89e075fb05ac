/**
 * @file MobileNetV2. Source: Sandler et al. 2018, table 2; names and first values as in torchvision.
 */
import { sequential } from "../containers.ts";
import { kaimingNormal, normal, zeros } from "../init.ts";
import { dropout, flatten, relu6 } from "../layers/activation.ts";
import { conv2d } from "../layers/convolution.ts";
import { linear } from "../layers/linear.ts";
import { batchNorm } from "../layers/normalization.ts";
import { adaptiveAvgPool2d } from "../layers/pooling.ts";
import type { Module } from "../module.ts";

/** A row of the paper's table: expansion t, channels c, repeats n, stride s of the first. */
export type InvertedResidualRow = readonly [t: number, c: number, n: number, s: number];

/** The net of the paper, for 224×224. */
export const MOBILENET_V2 = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const satisfies readonly InvertedResidualRow[];

/** A small one for images of 28 to 64 pixels. */
export const MOBILENET_V2_SMALL = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 2, 2],
  [6, 64, 2, 2],
] as const satisfies readonly InvertedResidualRow[];

export interface MobilenetOptions {
  /** Of the input. Default 3. */
  readonly channels?: number;
  /** Default 10. */
  readonly classes?: number;
  /** Factor for all channels, rounded to multiples of 8. Default 1. */
  readonly width?: number;
  /** Default {@link MOBILENET_V2_SMALL}. */
  readonly rows?: readonly InvertedResidualRow[];
  /** Channels and stride of the first convolution. Default 32 and 1 (the paper: 2). */
  readonly stem?: number;
  readonly stemStride?: number;
  /** Channels before pooling. Default 256 (the paper: 1280). */
  readonly last?: number;
  /** Before the classifier. Default 0.2. */
  readonly dropout?: number;
}

const weightInit = kaimingNormal({ mode: "fanOut", a: 0 });

/** A small MobileNetV2 by default: [N, channels, H, W] → logits [N, classes]. */
export function mobilenetV2(options: MobilenetOptions = {}): Module {
  const { channels = 3, classes = 10, width = 1, rows = MOBILENET_V2_SMALL, stem = 32, stemStride = 1 } = options;
  let into = multipleOf8(stem * width);
  const features: Module[] = [convNormAct(channels, into, 3, stemStride)];
  for (const [t, c, n, s] of rows) {
    const out = multipleOf8(c * width);
    for (let i = 0; i < n; i++) {
      features.push(invertedResidual(into, out, i === 0 ? s : 1, t));
      into = out;
    }
  }
  const last = multipleOf8((options.last ?? 256) * Math.max(1, width));
  features.push(convNormAct(into, last, 1));
  return sequential({
    features: sequential(...features),
    pool: adaptiveAvgPool2d(1),
    flatten: flatten(),
    classifier: sequential(
      dropout(options.dropout ?? 0.2),
      linear(last, classes, { weightInit: normal(0, 0.01), biasInit: zeros }),
    ),
  });
}

function convNormAct(into: number, out: number, kernel: number, stride = 1, groups = 1): Module {
  const padding = (kernel - 1) / 2;
  return sequential(
    conv2d(into, out, kernel, { stride, padding, groups, bias: false, weightInit }),
    batchNorm(out),
    relu6(),
  );
}

/** 1×1 to t times the channels, depthwise 3×3, 1×1 back; the input is added where the shape stays. */
function invertedResidual(into: number, out: number, stride: number, t: number): Module {
  const hidden = into * t;
  const conv = sequential(
    ...(t === 1 ? [] : [convNormAct(into, hidden, 1)]),
    convNormAct(hidden, hidden, 3, stride, hidden),
    conv2d(hidden, out, 1, { bias: false, weightInit }),
    batchNorm(out),
  );
  return (s, x) => {
    const y = s.child("conv", conv, x);
    return stride === 1 && into === out ? s.typed(s.b.add(x, y), y.shape) : y;
  };
}

/** The nearest multiple of 8, at least 8, never less than 90 % of the value: torchvision's _make_divisible. */
function multipleOf8(value: number): number {
  const nearest = Math.max(8, Math.floor((value + 4) / 8) * 8);
  return nearest < 0.9 * value ? nearest + 8 : nearest;
}
