/**
 * @file What SmoothQuant wants to know about activations: the range of each channel, and some operands of products.
 */
import type { Tensor } from "../../tensor/tensor.ts";
import type { Random } from "../../util/random.ts";
import { convolutionLayout, inKernelOrder, type KernelLayout, matrixLayout } from "../rows/layout.ts";
import { type RowSampler, rowSampler } from "../rows/sampler.ts";
import { type LinearLayer, linearLayer } from "./linear-layer.ts";
import type { ProductSample } from "./smooth.ts";

/** Ranges of channels over all samples. */
export interface ChannelRanges {
  readonly min: Float64Array;
  readonly max: Float64Array;
}

/**
 * Widens ranges by a tensor.
 * @param axis of the channels, from the end; @param repeat entries per channel.
 * @returns False where the tensor has other channels.
 */
export function addRanges(ranges: ChannelRanges, tensor: Tensor, axis: number, repeat: number): boolean {
  const { dims } = tensor;
  const at = dims.length + axis;
  const { min, max } = ranges;
  const entries = dims[at];
  if (entries !== min.length * repeat) return false;
  const inner = dims.slice(at + 1).reduce((a, b) => a * b, 1);
  const data = tensor.floats();
  for (let start = 0; start < data.length; start += inner) {
    const channel = Math.floor(((start / inner) % entries) / repeat);
    let [low, high] = [min[channel]!, max[channel]!];
    for (let i = start; i < start + inner; i++) {
      const x = data[i]!;
      if (x < low) low = x;
      if (x > high) high = x;
    }
    min[channel] = low;
    max[channel] = high;
  }
  return true;
}

/** Operands of products that are kept for a layer. */
const ROWS = 64;
/** Output channels that are looked at. */
const COLUMNS = 32;
/** Products per simulation of one layer. */
const PRODUCTS = 4e6;

/** Rows of a layer's left operand: of a matrix, or patches of an image. */
export interface LayerRows {
  readonly layer: LinearLayer;
  readonly layout: KernelLayout;
  readonly sampler: RowSampler;
}

/** @param layer a matrix product, or a convolution without groups. */
export function layerRows(layer: LinearLayer, random: Random): LayerRows {
  const { node, weight } = layer;
  const { dims } = weight.constant!;
  const matrix = layer.axis === -1;
  const layout = matrix ? matrixLayout(dims, node.int("transB", 0) !== 0) : convolutionLayout(dims, 1)!;
  const most = Math.max(Math.min(ROWS, Math.floor(PRODUCTS / (COLUMNS * layout.k))), 4);
  return { layer, layout, sampler: rowSampler({ node, kind: matrix ? "matmul" : "conv" }, layout, random, most) };
}

/** What was sampled, beside weights of some output channels. @param repeat entries per channel. */
export function productSample(
  { layer, layout, sampler }: LayerRows,
  ranges: ChannelRanges,
  repeat: number,
): ProductSample {
  const { k, n, channels } = layout;
  const rows = sampler.rows();
  const x = new Float32Array(rows.length * k);
  for (const [index, { values }] of rows.entries()) x.set(values, index * k);
  // The weight may have been rewritten since.
  const { weight } = linearLayer(layer.node) as LinearLayer;
  const all = inKernelOrder(weight.constant!.floats(), layout);
  const columns = Math.min(COLUMNS, n);
  const w = new Float32Array(columns * k);
  for (let column = 0; column < columns; column++) {
    const output = Math.floor((column * n) / columns);
    w.set(all.subarray(output * k, (output + 1) * k), column * k);
  }
  const channelOf = Uint32Array.from({ length: k }, (_, i) => Math.floor((i % channels) / repeat));
  return { x, rows: rows.length, w, columns, k, channelOf, ...ranges };
}
