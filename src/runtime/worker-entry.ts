/**
 * @file The script of the worker threads that {@link startWorkerRuntime} starts.
 */
import { parentPort } from "node:worker_threads";
import { createRuntime } from "./create-node.ts";
import type { Request } from "./worker-messages.ts";
import { serveRuntime } from "./worker-server.ts";

const take = serveRuntime(createRuntime, (reply, transfer) => parentPort!.postMessage(reply, transfer));
parentPort!.on("message", (request: Request) => take(request));
