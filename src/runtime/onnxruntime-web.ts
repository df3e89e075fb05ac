/**
 * @file onnxruntime-web: ONNX Runtime compiled to WASM, the same bytes in Node and in a browser. An optional
 * dependency, imported when first used. Its number of threads is fixed by the first session of a process or worker.
 */
import { decodeModel } from "../onnx/decode.ts";
import { joinChunks } from "../onnx/encode.ts";
import { UnsupportedError } from "../util/errors.ts";
import { importOrt, toOrtOptions, wrapSession } from "./onnxruntime.ts";
import type { Runtime } from "./runtime.ts";

/** How a platform with files reads a model given as a path. */
export type ReadModel = (path: string) => {
  readonly bytes: Uint8Array;
  readonly external: Readonly<Record<string, Uint8Array>>;
};

/** @throws UnsupportedError where the package is not installed or does not load. */
export async function createWebRuntime(read?: ReadModel): Promise<Runtime> {
  const ort = await importOrt("onnxruntime-web", () => import("onnxruntime-web"), "npm install onnxruntime-web");
  return {
    name: "onnxruntime-web",
    version: ort.env.versions.web ?? ort.env.versions.common,
    async load(model, options = {}) {
      if (options.threads !== undefined) ort.env.wasm.numThreads = options.threads;
      else ort.env.wasm.numThreads ??= 1;
      ort.env.logLevel = options.logWarnings ? "warning" : "fatal";
      if ("path" in model && read === undefined) {
        throw new UnsupportedError({
          area: "runtime",
          subject: "onnxruntime-web",
          problem: "expected the model's bytes, got a path",
          help: "Fetch the file first.",
        });
      }
      const { bytes: chunks, external } = "path" in model ? read!(model.path) : model;
      const bytes = chunks instanceof Uint8Array ? chunks : joinChunks(chunks);
      const externalData = Object.entries(external ?? {}).map(([path, data]) => ({ path, data }));
      const session = await ort.InferenceSession.create(bytes, {
        ...toOrtOptions(options),
        executionProviders: ["wasm"],
        ...(externalData.length > 0 && { externalData }),
      });
      return wrapSession(ort, session, () => decodeModel(bytes));
    },
  };
}
