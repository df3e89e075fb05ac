/**
 * @file onnxruntime-web: ONNX Runtime compiled to WASM, the same bytes in Node and in a browser. An optional
 * dependency, imported when first used. Its number of threads is fixed by the first session of a process or worker.
 */
import { decodeModel } from "../onnx/decode.ts";
import { joinChunks } from "../onnx/encode.ts";
import { UnsupportedError } from "../util/errors.ts";
import { importOrt, type OrtModule, toOrtOptions, wrapSession } from "./onnxruntime.ts";
import { parsePlacement, watchLog } from "./placement.ts";
import type { ModelSource, Runtime, SessionOptions } from "./runtime.ts";

/** How a platform with files reads a model given as a path. */
export type ReadModel = (path: string) => {
  readonly bytes: Uint8Array;
  readonly external: Readonly<Record<string, Uint8Array>>;
};

/** What computes: WASM on the processor, or WebGPU, which leaves to WASM what it has no kernels for. */
export type WebProvider = "wasm" | "webgpu";

/** @throws UnsupportedError where the package is not installed or does not load. */
export async function createWebRuntime(read?: ReadModel): Promise<Runtime> {
  const ort = await importOrt("onnxruntime-web", () => import("onnxruntime-web"), "npm install onnxruntime-web");
  return webRuntime(ort, "wasm", read);
}

/** The runtime over a module of onnxruntime-web that is loaded: in a browser, its bundle for the provider. */
export function webRuntime(ort: OrtModule, provider: WebProvider, read?: ReadModel): Runtime {
  const create = async (model: ModelSource, options: SessionOptions, extra: object = {}) => {
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
      executionProviders: [provider],
      ...(externalData.length > 0 && { externalData }),
      ...extra,
    });
    return { session, bytes };
  };
  return {
    name: "onnxruntime-web",
    version: ort.env.versions.web ?? ort.env.versions.common,
    async load(model, options = {}) {
      const { session, bytes } = await create(model, options);
      return wrapSession(ort, session, () => decodeModel(bytes), { fillsOutputs: false });
    },
    ...(provider !== "wasm" && {
      async placement(model: ModelSource, options: SessionOptions = {}) {
        const log = watchLog();
        try {
          const { session } = await create(model, options, { logSeverityLevel: 0 });
          await session.release();
        } finally {
          log.stop();
        }
        return parsePlacement(log.lines);
      },
    }),
  };
}
