/**
 * @file All rules of channel pruning, by operator ("domain.Operator" outside ONNX's own domain). An operator without a row
 * forbids the channels that come into it. They hold from opset 13 on, which models are brought to first.
 */
import type { Rules } from "../rule.ts";
import { CONVOLUTION } from "./convolution.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { LINALG } from "./linalg.ts";
import { MOVEMENT } from "./movement.ts";
import { NORMALIZATION } from "./normalization.ts";
import { POOLING } from "./pooling.ts";
import { RECURRENT } from "./recurrent.ts";
import { REDUCTION } from "./reduction.ts";
import { RESHAPE } from "./reshape.ts";

export const RULES: Rules = {
  ...ELEMENTWISE,
  ...CONVOLUTION,
  ...LINALG,
  ...POOLING,
  ...REDUCTION,
  ...NORMALIZATION,
  ...RECURRENT,
  ...MOVEMENT,
  ...RESHAPE,
};

/** The opset that the rules are written for. */
export const OLDEST_OPSET = 13;
