/**
 * @file Second moments C = X·Xᵀ of what layers are multiplied with, from calibration data.
 */
import type { Model } from "../../graph/model.ts";
import type { Value } from "../../graph/value.ts";
import { collect } from "../../runtime/collect.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { DataSource } from "../../step/data.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Progress } from "../../util/progress.ts";
import { type FactorLayer, isPointwise } from "./layer.ts";

/** Rows of one sample that are looked at, evenly apart: more of one image or text say little that is new. */
const ROWS_PER_SAMPLE = 256;

export interface MomentsContext {
  readonly runtime: Runtime;
  readonly calibration: DataSource;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * C [inputs, inputs] by layer. Layers within subgraphs, and convolutions with larger kernels, whose inputs are no rows, have
 * none, nor have those whose inputs were all zero.
 */
export async function inputMoments(
  model: Model,
  layers: readonly FactorLayer[],
  { runtime, calibration, progress, signal }: MomentsContext,
): Promise<ReadonlyMap<FactorLayer, Float64Array>> {
  const readers = new Map<Value, FactorLayer[]>();
  const moments = new Map<FactorLayer, Float64Array>();
  for (const layer of layers) {
    const value = layer.node.input(0);
    if (!isPointwise(layer) || value.graph !== model.graph) continue;
    readers.set(value, [...(readers.get(value) ?? []), layer]);
    moments.set(layer, new Float64Array(layer.inputs ** 2));
  }
  await collect(
    model,
    runtime,
    [...readers.keys()],
    calibration,
    (value, tensor) => {
      for (const layer of readers.get(value) ?? []) addRows(moments.get(layer)!, layer, tensor);
    },
    { ...(progress && { progress }), ...(signal && { signal }) },
  );
  // Inputs that were always zero say nothing about what to keep.
  for (const [layer, own] of moments) if (own.every((value) => value === 0)) moments.delete(layer);
  return moments;
}

/** Adds x·xᵀ of some rows of a layer's input: of [N, C, …] those over C, of [M, K] or [K, M] with transA those over K. */
function addRows(moments: Float64Array, { node, inputs, kernel }: FactorLayer, tensor: Tensor): void {
  const data = tensor.floats();
  const rows = data.length / inputs;
  // Positions behind the channels; rows of one batch entry lie side by side.
  const behind =
    kernel !== undefined ? tensor.dims.slice(2).reduce((a, b) => a * b, 1) : node.int("transA", 0) !== 0 ? rows : 1;
  const step = Math.max(1, Math.ceil(rows / ROWS_PER_SAMPLE));
  const row = new Float64Array(inputs);
  for (let r = 0; r < rows; r += step) {
    const base = Math.floor(r / behind) * inputs * behind + (r % behind);
    for (let k = 0; k < inputs; k++) row[k] = data[base + k * behind]!;
    for (let i = 0; i < inputs; i++) {
      const x = row[i]!;
      if (x === 0) continue;
      const to = i * inputs;
      for (let j = 0; j < inputs; j++) moments[to + j]! += x * row[j]!;
    }
  }
}
