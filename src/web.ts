/**
 * @file The API of browsers: the WASM runtime, in a worker, too; checkpoints that outlive the page; recording what a page
 * feeds its model. Everything else is in "tersor" and "tersor/nn".
 */
export type { RecordableSession, Recording, SamplingOptions } from "./data/record.ts";
export { record, type WebRecording } from "./data/record-web.ts";
export { createWebRuntime } from "./runtime/onnxruntime-web.ts";
export { serveWorkerRuntime, startWorkerRuntime, type WebWorkerOptions } from "./runtime/web-worker.ts";
export type { WorkerRuntime } from "./runtime/worker-client.ts";
export { type DatabaseCheckpoints, databaseCheckpoints } from "./train/checkpoint-web.ts";
