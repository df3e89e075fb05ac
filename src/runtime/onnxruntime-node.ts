/**
 * @file onnxruntime-node: ONNX Runtime's native CPU build. An optional dependency, imported when first used.
 */
import { decodeModel } from "../onnx/decode.ts";
import { joinChunks } from "../onnx/encode.ts";
import { readModelFile } from "../onnx/file-node.ts";
import { UnsupportedError } from "../util/errors.ts";
import { importOrt, toOrtOptions, wrapSession } from "./onnxruntime.ts";
import type { ModelSource, Runtime } from "./runtime.ts";

/** @throws UnsupportedError where the package is not installed or does not load. */
export async function createNodeRuntime(): Promise<Runtime> {
  const ort = await importOrt(
    "onnxruntime-node",
    () => import("onnxruntime-node"),
    "npm install --ignore-scripts onnxruntime-node",
  );
  return {
    name: "onnxruntime-node",
    version: ort.env.versions.node ?? ort.env.versions.common,
    async load(model, options = {}) {
      const source = nodeSource(model);
      const session = await ort.InferenceSession.create(source, {
        ...toOrtOptions(options),
        executionProviders: ["cpu"],
      });
      return wrapSession(
        ort,
        session,
        () => (typeof source === "string" ? readModelFile(source).proto : decodeModel(source)),
        { fillsOutputs: true },
      );
    },
  };
}

function nodeSource(model: ModelSource): Uint8Array | string {
  if ("path" in model) return model.path;
  if (model.external !== undefined && Object.keys(model.external).length > 0) {
    throw new UnsupportedError({
      area: "runtime",
      subject: "onnxruntime-node",
      problem: "expected a model with external data to be given as a path, got bytes",
      help: "Write the model to a file first.",
    });
  }
  return model.bytes instanceof Uint8Array ? model.bytes : joinChunks(model.bytes);
}
