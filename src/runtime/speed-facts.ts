/**
 * @file Measured speeds by target and pattern. Written by `npm run probe` (scripts/probe.ts): not to be edited.
 * - All: onnxruntime-node 1.30.0, onnxruntime-web 1.30.0; one thread; AMD EPYC with VNNI, linux x64, Node 20.20.2; 2026-11-23.
 */
import type { SpeedFact } from "./speed.ts";

export const SPEED_FACTS: readonly SpeedFact[] = [
  {
    target: "node-cpu",
    pattern: "dynamic-matmul",
    size: 1,
    ratio: 1.9,
  },
  {
    target: "node-cpu",
    pattern: "dynamic-matmul",
    size: 4,
    ratio: 2.1,
  },
  {
    target: "node-cpu",
    pattern: "dynamic-matmul",
    size: 16,
    ratio: 2.4,
  },
  {
    target: "node-cpu",
    pattern: "dynamic-matmul",
    size: 64,
    ratio: 2.8,
  },
  {
    target: "node-cpu",
    pattern: "dynamic-matmul",
    size: 256,
    ratio: 3,
  },
  {
    target: "node-cpu",
    pattern: "static-matmul",
    size: 1,
    ratio: 1.9,
  },
  {
    target: "node-cpu",
    pattern: "static-matmul",
    size: 4,
    ratio: 2.1,
  },
  {
    target: "node-cpu",
    pattern: "static-matmul",
    size: 16,
    ratio: 2.4,
  },
  {
    target: "node-cpu",
    pattern: "static-matmul",
    size: 64,
    ratio: 2.8,
  },
  {
    target: "node-cpu",
    pattern: "static-matmul",
    size: 256,
    ratio: 3,
  },
  {
    target: "node-cpu",
    pattern: "dequantized-matmul",
    size: 1,
    ratio: 1.7,
  },
  {
    target: "node-cpu",
    pattern: "dequantized-matmul",
    size: 4,
    ratio: 1.1,
  },
  {
    target: "node-cpu",
    pattern: "dequantized-matmul",
    size: 16,
    ratio: 1.1,
  },
  {
    target: "node-cpu",
    pattern: "dequantized-matmul",
    size: 64,
    ratio: 1.1,
  },
  {
    target: "node-cpu",
    pattern: "dequantized-matmul",
    size: 256,
    ratio: 1.1,
  },
  {
    target: "node-cpu",
    pattern: "dynamic-conv",
    ratio: 1.1,
  },
  {
    target: "node-cpu",
    pattern: "static-conv",
    ratio: 3,
  },
  {
    target: "node-cpu",
    pattern: "dynamic-conv-depthwise",
    ratio: 0.13,
  },
  {
    target: "node-cpu",
    pattern: "static-conv-depthwise",
    ratio: 0.8,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-matmul",
    size: 1,
    ratio: 0.58,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-matmul",
    size: 4,
    ratio: 1.3,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-matmul",
    size: 16,
    ratio: 2,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-matmul",
    size: 64,
    ratio: 2.2,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-matmul",
    size: 256,
    ratio: 2.2,
  },
  {
    target: "web-wasm",
    pattern: "static-matmul",
    size: 1,
    ratio: 0.57,
  },
  {
    target: "web-wasm",
    pattern: "static-matmul",
    size: 4,
    ratio: 1.4,
  },
  {
    target: "web-wasm",
    pattern: "static-matmul",
    size: 16,
    ratio: 2,
  },
  {
    target: "web-wasm",
    pattern: "static-matmul",
    size: 64,
    ratio: 2.3,
  },
  {
    target: "web-wasm",
    pattern: "static-matmul",
    size: 256,
    ratio: 2.2,
  },
  {
    target: "web-wasm",
    pattern: "dequantized-matmul",
    size: 1,
    ratio: 0.047,
  },
  {
    target: "web-wasm",
    pattern: "dequantized-matmul",
    size: 4,
    ratio: 0.15,
  },
  {
    target: "web-wasm",
    pattern: "dequantized-matmul",
    size: 16,
    ratio: 0.41,
  },
  {
    target: "web-wasm",
    pattern: "dequantized-matmul",
    size: 64,
    ratio: 0.73,
  },
  {
    target: "web-wasm",
    pattern: "dequantized-matmul",
    size: 256,
    ratio: 0.93,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-conv",
    ratio: 1.6,
  },
  {
    target: "web-wasm",
    pattern: "static-conv",
    ratio: 1.4,
  },
  {
    target: "web-wasm",
    pattern: "dynamic-conv-depthwise",
    ratio: 0.49,
  },
  {
    target: "web-wasm",
    pattern: "static-conv-depthwise",
    ratio: 0.31,
  },
];
