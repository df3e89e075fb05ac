/**
 * @file Small models from text for the tests of runtimes.
 */
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import type { Model } from "../../src/graph/model.ts";
import { encodeModel, joinChunks } from "../../src/onnx/encode.ts";
import { parseModel } from "../../src/onnx/text.ts";

const HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1, "com.microsoft.nchwc" : 1]>';

/** The bytes of a model; `graph` is ONNX's textual syntax without the model's header. */
export function modelBytes(graph: string): Uint8Array {
  return joinChunks(encodeModel(parseModel(`${HEADER} ${graph}`)));
}

export function graphModel(graph: string): Model {
  return fromOnnx(parseModel(`${HEADER} ${graph}`));
}

/** An operator of the native build's CPU kernels; the WASM build is compiled without them. */
export const NATIVE_ONLY = "g (float[1,16,2,2] x) => (float[1,16,2,2] y) { y = com.microsoft.nchwc.ReorderInput(x) }";
