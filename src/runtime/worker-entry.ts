/**
 * @file The script of the worker threads that {@link startWorkerRuntime} starts.
 */
import { parentPort } from "node:worker_threads";
import { createRuntime } from "./create-node.ts";
import type { Farewell, Request } from "./worker-messages.ts";
import { serveRuntime } from "./worker-server.ts";

const take = serveRuntime(
  createRuntime,
  (reply, transfer) => parentPort!.postMessage(reply, transfer),
  // In a worker thread this ends the thread alone.
  () => process.exit(0),
);
parentPort!.on("message", (request: Request | Farewell) => take(request));
