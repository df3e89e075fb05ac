/**
 * @file Matrix products. Source: onnx/docs/Changelog.md.
 */
import { compatibleAt, type RuleTable } from "./rule.ts";

export const LINALG_RULES: RuleTable = {
  // 11: C may be left out
  Gemm: compatibleAt(9, 11, 13),
  MatMul: compatibleAt(9, 13),
};
