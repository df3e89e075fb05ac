/**
 * @file Bytes of a file to a model and back, in one call each.
 */
import { decodeModel } from "../onnx/decode.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { externalDataFromMemory } from "../onnx/external-data.ts";
import { fromOnnx } from "./from-onnx.ts";
import type { Model } from "./model.ts";
import { toOnnx } from "./to-onnx.ts";

/**
 * A model from the bytes of an .onnx file, which must stay unchanged while it is in use.
 * @param external The model's data files by location, where it has any.
 * @throws FormatError, GraphError for bytes that are no valid model.
 */
export function loadModel(bytes: Uint8Array, external: Readonly<Record<string, Uint8Array>> = {}): Model {
  return fromOnnx(decodeModel(bytes), externalDataFromMemory(external));
}

/** The bytes of an .onnx file with everything in it. */
export function saveModel(model: Model): Uint8Array {
  return joinChunks(encodeModel(toOnnx(model)));
}
