/**
 * @file The two runtimes in a real browser do what every adapter must do.
 */
import { describe } from "vitest";
import { startBrowserRuntime } from "../../src/runtime/browser/chromium.ts";
import type { WorkerRuntime } from "../../src/runtime/worker-client.ts";
import { describeRuntime } from "../runtime/conformance.ts";
import { NO_BROWSER } from "./browser.ts";

describe.skipIf(NO_BROWSER !== undefined)("in a browser", () => {
  for (const provider of ["wasm", "webgpu"] as const) {
    describeRuntime(
      `onnxruntime-web, ${provider}`,
      () => startBrowserRuntime({ provider }),
      (runtime) => (runtime as WorkerRuntime).close(),
    );
  }
});
