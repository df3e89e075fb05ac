/**
 * @file The form of measured speeds; the figures are in speed-facts.ts, which `npm run probe` writes.
 */

/** Time of float32 over time of the quantized pattern, one thread, same runtime: above 1 the pattern is faster. */
export interface SpeedFact {
  readonly target: "node-cpu" | "web-wasm";
  readonly pattern:
    | "dynamic-matmul"
    | "dynamic-conv"
    | "dynamic-conv-depthwise"
    | "static-matmul"
    | "static-conv"
    | "static-conv-depthwise"
    | "dequantized-matmul";
  /** Rows of the left matrix, ascending within a pattern. */
  readonly rows?: number;
  readonly ratio: number;
}
