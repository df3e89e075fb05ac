/**
 * @file The two nets of the compression literature. Source: LeCun et al. 1998; LeNet-5 in Caffe's form (examples/mnist),
 * which is the one that Han et al. and others compress: 431,080 parameters, no activation behind the convolutions.
 */
import { sequential } from "../containers.ts";
import { flatten, relu } from "../layers/activation.ts";
import { conv2d } from "../layers/convolution.ts";
import { linear } from "../layers/linear.ts";
import { maxPool2d } from "../layers/pooling.ts";
import type { Module } from "../module.ts";

/** LeNet-300-100: [N, …] of 784 features → logits [N, classes]; 266,610 parameters. */
export function lenet300(classes = 10, features = 784): Module {
  return sequential({
    flatten: flatten(),
    fc1: linear(features, 300),
    relu1: relu(),
    fc2: linear(300, 100),
    relu2: relu(),
    fc3: linear(100, classes),
  });
}

export interface Lenet5Options {
  /** Default 10. */
  readonly classes?: number;
  /** Of the input. Default 1. */
  readonly channels?: number;
  /** Channels of both convolutions and features of the hidden layer. Default [20, 50, 500]. */
  readonly widths?: readonly [number, number, number];
}

/** LeNet-5: [N, channels, 28, 28] → logits [N, classes]. */
export function lenet5({ classes = 10, channels = 1, widths = [20, 50, 500] }: Lenet5Options = {}): Module {
  const [first, second, hidden] = widths;
  return sequential({
    conv1: conv2d(channels, first, 5),
    pool1: maxPool2d(2),
    conv2: conv2d(first, second, 5),
    pool2: maxPool2d(2),
    flatten: flatten(),
    fc1: linear(second * 16, hidden), // 28 → 24 → 12 → 8 → 4
    relu: relu(),
    fc2: linear(hidden, classes),
  });
}
