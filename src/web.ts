/**
 * @file The API of browsers: the WASM runtime. Everything else is in "tersor".
 */
export { createWebRuntime } from "./runtime/onnxruntime-web.ts";
