/**
 * @file Measured speeds by target and pattern, written by `npm run probe`.
 */
import type { SpeedFact } from "./speed.ts";

export const SPEED_FACTS: readonly SpeedFact[] = [
  { target: "node-cpu", pattern: "dynamic-matmul", rows: 1, ratio: 5.4 },
  { target: "node-cpu", pattern: "dynamic-matmul", rows: 128, ratio: 3.8 },
  { target: "node-cpu", pattern: "static-matmul", rows: 1, ratio: 5.2 },
  { target: "node-cpu", pattern: "static-matmul", rows: 128, ratio: 3.8 },
  { target: "node-cpu", pattern: "static-conv", ratio: 3.1 },
  { target: "node-cpu", pattern: "static-conv-depthwise", ratio: 0.7 },
  { target: "node-cpu", pattern: "dynamic-conv", ratio: 1.1 },
  { target: "node-cpu", pattern: "dynamic-conv-depthwise", ratio: 0.5 },
  { target: "web-wasm", pattern: "dynamic-matmul", rows: 1, ratio: 0.65 },
  { target: "web-wasm", pattern: "dynamic-matmul", rows: 128, ratio: 2.6 },
  { target: "web-wasm", pattern: "static-matmul", rows: 1, ratio: 0.69 },
  { target: "web-wasm", pattern: "static-matmul", rows: 128, ratio: 2.6 },
  { target: "web-wasm", pattern: "static-conv", ratio: 2.7 },
  { target: "web-wasm", pattern: "static-conv-depthwise", ratio: 0.4 },
  { target: "web-wasm", pattern: "dynamic-conv", ratio: 2.6 },
  { target: "web-wasm", pattern: "dynamic-conv-depthwise", ratio: 0.4 },
];
