/**
 * @file Convolutions. Source: onnx/docs/Changelog.md.
 */
import { compatibleAt, type RuleTable } from "./rule.ts";

export const CONVOLUTION_RULES: RuleTable = {
  // 11: the defaults that everybody used are written down
  Conv: compatibleAt(11),
  // 11 also turns the sentence on which side gets the odd pad of `output_shape`: a correction of the text, runtimes
  // (ONNX Runtime among them) do the same at every opset
  ConvTranspose: compatibleAt(11),
};
