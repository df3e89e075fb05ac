/**
 * @file A web worker of the page: a runtime that takes its requests from Node. Runs in the browser.
 * Long-polling over HTTP, because it needs nothing but `fetch` and passes every tunnel and `adb reverse`.
 */
import { importOrt, type OrtModule } from "../onnxruntime.ts";
import { type WebProvider, webRuntime } from "../onnxruntime-web.ts";
import { catchConsole } from "../placement.ts";
import type { Runtime } from "../runtime.ts";
import type { Reply, Request } from "../worker-messages.ts";
import { serveRuntime } from "../worker-server.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { describeHost } from "./host.ts";
import { failedPath, nextPath, ORT_PATH } from "./messages.ts";

/**
 * The bundles: `onnxruntime-web/wasm`, and for WebGPU `onnxruntime-web/jspi` where the browser has JavaScript Promise
 * Integration, else `onnxruntime-web/webgpu`. The two have the same kernels and wait for the GPU by other means; in the
 * second (1.30, Asyncify) a node that fails makes the module spin forever, so that guesses at shapes could not be tried.
 */
function bundleOf(provider: WebProvider): string {
  if (provider === "wasm") return "ort.wasm.min.mjs";
  return "Suspending" in WebAssembly ? "ort.jspi.min.mjs" : "ort.webgpu.min.mjs";
}

/** Milliseconds after which a server that cannot be reached is given up. */
const LOST_MS = 20_000;

const parameters = new URLSearchParams(location.search);
const worker = Number(parameters.get("worker"));
const provider = parameters.get("provider") as WebProvider;
const base = parameters.get("base")!;

async function createRuntime(): Promise<Runtime> {
  catchConsole();
  const host = await describeHost();
  const url = new URL(`${ORT_PATH}${bundleOf(provider)}`, base).href;
  const ort: OrtModule = await importOrt("onnxruntime-web", () => import(url), "npm install onnxruntime-web");
  ort.env.wasm.wasmPaths = new URL(ORT_PATH, base).href;
  return { ...webRuntime(ort, provider), host };
}

async function post(path: string, body: Uint8Array<ArrayBuffer> | string | undefined): Promise<Response> {
  const start = performance.now();
  for (;;) {
    try {
      return await fetch(new URL(path, base), { method: "POST", body });
    } catch (error) {
      // A wireless network that drops out for a moment: the server knows answers that come twice.
      if (performance.now() - start > LOST_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function work(): Promise<void> {
  let answered: (reply: Reply) => void = () => {};
  const take = serveRuntime(
    createRuntime,
    (reply) => answered(reply),
    () => {},
  );
  let body: Uint8Array<ArrayBuffer> | undefined;
  for (;;) {
    const response = await post(nextPath(worker), body);
    body = undefined;
    if (response.status === 204) continue;
    if (!response.ok) return;
    const request = decodeFrame(new Uint8Array(await response.arrayBuffer())) as Request;
    const reply = await new Promise<Reply>((resolve) => {
      answered = resolve;
      take(request);
    });
    body = encodeFrame(reply);
  }
}

work().catch((error: unknown) => post(failedPath(worker), error instanceof Error ? error.message : String(error)));
