/**
 * @file A second graph of the same model. Tensors are shared: they are immutable.
 */
import { fromOnnx } from "./from-onnx.ts";
import type { Model } from "./model.ts";
import { toOnnx } from "./to-onnx.ts";

export function cloneModel(model: Model): Model {
  return fromOnnx(toOnnx(model), model.external);
}
