/**
 * @file Quantization. Source: onnx/docs/Changelog.md.
 */
import { compatibleAt, type RuleTable } from "./rule.ts";

// 13: a scale per slice of an axis; a single scale means what it meant
export const QUANTIZATION_RULES: RuleTable = {
  DequantizeLinear: compatibleAt(13),
  QuantizeLinear: compatibleAt(13),
};
