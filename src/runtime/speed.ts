/**
 * @file The form of measured speeds; the figures are in speed-facts.ts, which `npm run probe` writes.
 */

/**
 * Time of float32 over time of the quantized pattern, one thread, same runtime: above 1 the pattern is faster. For the
 * operators between those with weights (static-add and after): time with them in float over time with all on integers.
 */
export interface SpeedFact {
  readonly target: "node-cpu" | "web-wasm";
  readonly pattern:
    | "dynamic-matmul"
    | "dynamic-conv"
    | "dynamic-conv-depthwise"
    | "static-matmul"
    | "static-conv"
    | "static-conv-depthwise"
    | "static-add"
    | "static-mul"
    | "static-average-pool"
    | "static-max-pool"
    | "static-concat"
    | "dequantized-matmul";
  /**
   * What the ratio depends on, ascending within a pattern. Matrix products: rows of the left matrix. Convolutions: products
   * per output element (channels of a group times kernel). Absent: one ratio for all.
   */
  readonly size?: number;
  readonly ratio: number;
}
