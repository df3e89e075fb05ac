/**
 * @file onnxruntime-web in a web worker, for pages: the page's thread stays free while models load, run and train. Runs
 * in a browser; the worker's side is here, too, for pages that bring a worker's script of their own.
 */
import { importOrt } from "./onnxruntime.ts";
import { webRuntime } from "./onnxruntime-web.ts";
import { connectRuntime, type WorkerChannel, type WorkerRuntime } from "./worker-client.ts";
import type { Farewell, Reply, Request } from "./worker-messages.ts";
import { serveRuntime } from "./worker-server.ts";

export interface WebWorkerOptions {
  /** A worker whose script calls {@link serveWorkerRuntime}. Default: one of Tersor's own, which a bundler finds. */
  readonly worker?: Worker;
}

/**
 * Starts onnxruntime-web (WASM) in a web worker. Tensors are copied on the way in, so feeds stay as they are, and moved
 * on the way out. State of a training stays there: a step sends a batch and gets its loss.
 * @throws UnsupportedError where onnxruntime-web does not load there; TersorError where the worker's script does not.
 */
export function startWorkerRuntime({ worker = startOwn() }: WebWorkerOptions = {}): Promise<WorkerRuntime> {
  const channel: WorkerChannel = {
    post: (request, transfer) => worker.postMessage(request, transfer),
    listen(onReply, onEnd) {
      worker.addEventListener("message", ({ data }) => onReply(data as Reply));
      worker.addEventListener("messageerror", () => onEnd("its answer could not be read"));
      worker.addEventListener("error", ({ message }) =>
        onEnd(`the worker failed: ${message || "its script is missing"}`),
      );
    },
    setBusy() {},
    end: async () => worker.terminate(),
  };
  return connectRuntime(channel, "onnxruntime-web", { where: "in a web worker" });
}

/** The form that bundlers look for. From a checkout's TypeScript a server that gives `.ts` for `.js` is needed. */
function startOwn(): Worker {
  return new Worker(new URL("./web-worker-entry.js", import.meta.url), { type: "module" });
}

/** The global scope of a worker, of which TypeScript's library for pages knows nothing. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Request | Farewell>) => void) | null;
  postMessage(message: Reply, transfer: ArrayBuffer[]): void;
  close(): void;
}

/**
 * Makes the worker that this is called in one for {@link startWorkerRuntime}.
 * @param load imports onnxruntime-web. Default: the package's bundle with WASM only, the smallest.
 */
export function serveWorkerRuntime(load: () => Promise<unknown> = () => import("onnxruntime-web/wasm")): void {
  const scope = globalThis as unknown as WorkerScope;
  const take = serveRuntime(
    async () => webRuntime(await importOrt("onnxruntime-web", load, "npm install onnxruntime-web"), "wasm"),
    (reply, transfer) => scope.postMessage(reply, transfer),
    () => scope.close(),
  );
  scope.onmessage = ({ data }) => take(data);
}
