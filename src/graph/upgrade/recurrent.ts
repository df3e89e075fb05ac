/**
 * @file Recurrent layers. Source: onnx/docs/Changelog.md.
 */
import { compatibleAt, type RuleTable } from "./rule.ts";

// 14: layout, default 0
export const RECURRENT_RULES: RuleTable = {
  GRU: compatibleAt(14),
  LSTM: compatibleAt(14),
  RNN: compatibleAt(14),
};
