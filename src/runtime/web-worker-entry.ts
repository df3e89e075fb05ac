/**
 * @file The script of the web worker that {@link startWorkerRuntime} starts by default.
 */
import { serveWorkerRuntime } from "./web-worker.ts";

serveWorkerRuntime();
