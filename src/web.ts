/**
 * @file The API of browsers: the WASM runtime, and recording what a page feeds its model. Everything else is in "tersor".
 */
export type { RecordableSession, Recording, SamplingOptions } from "./data/record.ts";
export { record, type WebRecording } from "./data/record-web.ts";
export { createWebRuntime } from "./runtime/onnxruntime-web.ts";
