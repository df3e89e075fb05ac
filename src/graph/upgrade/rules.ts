/**
 * @file All upgrade rules. A new operator, or a new version of one, is one entry in its family's table.
 */
import { ACTIVATION_RULES } from "./activation.ts";
import { CONTROL_FLOW_RULES } from "./control-flow.ts";
import { CONVOLUTION_RULES } from "./convolution.ts";
import { ELEMENTWISE_RULES } from "./elementwise.ts";
import { LINALG_RULES } from "./linalg.ts";
import { MOVEMENT_RULES } from "./movement.ts";
import { NORMALIZATION_RULES } from "./normalization.ts";
import { POOLING_RULES } from "./pooling.ts";
import { QUANTIZATION_RULES } from "./quantization.ts";
import { RECURRENT_RULES } from "./recurrent.ts";
import { REDUCTION_RULES } from "./reduction.ts";
import { RESIZE_RULES } from "./resize.ts";
import type { Rule, RuleTable } from "./rule.ts";

/** The opsets between which every change of every operator has a rule; a test compares with ONNX's own list. */
export const OLDEST_OPSET = 7;
export const NEWEST_OPSET = 17;

/** One table per family; no operator stands in two. */
export const RULE_FAMILIES: readonly RuleTable[] = [
  ELEMENTWISE_RULES,
  LINALG_RULES,
  CONVOLUTION_RULES,
  POOLING_RULES,
  REDUCTION_RULES,
  MOVEMENT_RULES,
  RESIZE_RULES,
  NORMALIZATION_RULES,
  ACTIVATION_RULES,
  RECURRENT_RULES,
  CONTROL_FLOW_RULES,
  QUANTIZATION_RULES,
];

const BY_OP: ReadonlyMap<string, Readonly<Record<number, Rule>>> = new Map(
  RULE_FAMILIES.flatMap((table) => Object.entries(table)),
);

/** The rule that leads an operator to this version. */
export function upgradeRule(opType: string, version: number): Rule | undefined {
  return BY_OP.get(opType)?.[version];
}
