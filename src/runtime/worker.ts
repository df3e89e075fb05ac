/**
 * @file A runtime in a worker thread, in Node. It keeps the event loop free, nothing more: a runtime that crashes takes
 * the whole process with it (analyze/isolated.ts uses processes for that).
 */
import { Worker } from "node:worker_threads";
import { connectRuntime, type WorkerChannel, type WorkerRuntime } from "./worker-client.ts";
import type { Farewell, Reply, RuntimeName } from "./worker-messages.ts";

export type { WorkerRuntime };

/** The worker's script: TypeScript in a checkout, JavaScript in the package. */
const ENTRY = new URL(import.meta.url.endsWith(".ts") ? "./worker-entry.ts" : "./worker-entry.js", import.meta.url);

/**
 * Starts a runtime in a worker of its own. Tensors are copied on the way in, so feeds stay as they are, and moved on the
 * way out. Requests are carried out in order; while none is under way the worker does not keep the process alive. Do
 * not call `process.exit` while onnxruntime-node runs: see {@link threadChannel}.
 * @throws UnsupportedError where the package is not installed or does not load.
 */
export function startWorkerRuntime(name: RuntimeName): Promise<WorkerRuntime> {
  return connectRuntime(threadChannel(startEntry(), name === "onnxruntime-web"), name);
}

/** Only a checkout's TypeScript needs a loader; `--import tsx` registers none in worker threads. */
function startEntry(): Worker {
  if (!ENTRY.href.endsWith(".ts")) return new Worker(ENTRY, { execArgv: [] });
  const [loader, entry] = [import.meta.resolve("tsx/esm/api"), ENTRY.href].map((url) => JSON.stringify(url));
  const code = `import(${loader}).then(({ register }) => { register(); return import(${entry}); });`;
  return new Worker(code, { eval: true, execArgv: [] });
}

/**
 * The way to a worker thread.
 * @param interruptible whether the thread may be stopped in the middle of a call. In native code Node-API would abort the
 * whole process then ("terminate called after throwing an instance of 'Napi::Error'"): the thread is asked to end.
 */
export function threadChannel(worker: Worker, interruptible: boolean): WorkerChannel {
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  return {
    post: (request, transfer) => worker.postMessage(request, transfer),
    listen(onReply, onEnd) {
      worker.on("message", (reply: Reply) => onReply(reply));
      worker.on("messageerror", (error) => onEnd(`its answer could not be read: ${error.message}`));
      worker.on("error", (error) => onEnd(`the worker failed: ${error instanceof Error ? error.message : error}`));
      worker.on("exit", (code) => onEnd(`the worker ended with exit status ${code}`));
    },
    setBusy(busy) {
      if (busy) worker.ref();
      else worker.unref();
    },
    async end() {
      worker.ref();
      if (interruptible) await worker.terminate();
      else worker.postMessage({ kind: "close" } satisfies Farewell);
      await exited;
    },
  };
}
