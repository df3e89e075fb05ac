/**
 * @file What SmoothQuant wants to know about activations: the range of each channel, and some operands of products.
 */
import type { Tensor } from "../../tensor/tensor.ts";
import type { Random } from "../../util/random.ts";
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

/** Collects rows of a layer's operand: rows of a matrix, or patches of an image. */
export class RowSampler {
  readonly layer: LinearLayer;
  readonly k: number;
  readonly #rows: Float32Array[] = [];
  readonly #most: number;
  readonly #kernel: readonly number[];
  readonly #dilations: readonly number[];

  constructor(layer: LinearLayer) {
    this.layer = layer;
    this.k = layer.inputs * layer.inner;
    this.#most = Math.max(Math.min(ROWS, Math.floor(PRODUCTS / (COLUMNS * this.k))), 4);
    this.#kernel = layer.axis === -1 ? [] : layer.weight.constant!.dims.slice(2);
    this.#dilations = layer.node.ints("dilations") ?? this.#kernel.map(() => 1);
  }

  /** @param expected number of tensors that will come, so that all of them have a share. */
  add(tensor: Tensor, random: Random, expected: number): void {
    const count = Math.min(Math.ceil(this.#most / Math.max(expected, 1)), this.#most - this.#rows.length);
    const data = tensor.floats();
    if (data.length === 0) return;
    for (let i = 0; i < count; i++) {
      this.#rows.push(this.#kernel.length === 0 ? this.#row(data, random) : this.#patch(data, tensor.dims, random));
    }
  }

  #row(data: Float32Array, random: Random): Float32Array {
    const start = random.integer(data.length / this.k) * this.k;
    return data.slice(start, start + this.k);
  }

  /** The window of the kernel around a random point: [I, k…]. Strides do not matter for what it looks like. */
  #patch(data: Float32Array, dims: readonly number[], random: Random): Float32Array {
    const [batch, channels, ...size] = dims as [number, number, ...number[]];
    const image = random.integer(batch);
    const first = size.map((length, d) => {
      const reach = (this.#kernel[d]! - 1) * this.#dilations[d]!;
      return random.integer(length) - (reach >> 1);
    });
    const plane = size.reduce((a, b) => a * b, 1);
    const patch = new Float32Array(this.k);
    for (let tap = 0; tap < this.layer.inner; tap++) {
      let rest = tap;
      let offset = 0;
      let stride = 1;
      let inside = true;
      for (let d = size.length - 1; d >= 0; d--) {
        const step = rest % this.#kernel[d]!;
        rest = Math.floor(rest / this.#kernel[d]!);
        const at = first[d]! + step * this.#dilations[d]!;
        inside &&= at >= 0 && at < size[d]!;
        offset += at * stride;
        stride *= size[d]!;
      }
      if (!inside) continue;
      for (let c = 0; c < channels; c++) {
        patch[c * this.layer.inner + tap] = data[(image * channels + c) * plane + offset]!;
      }
    }
    return patch;
  }

  /** What was collected, beside weights of some output channels. */
  sample(ranges: ChannelRanges, repeat: number): ProductSample {
    const { k } = this;
    // The weight may have been rewritten since.
    const layer = linearLayer(this.layer.node) as LinearLayer;
    const rows = this.#rows.length;
    const x = new Float32Array(rows * k);
    this.#rows.forEach((row, index) => {
      x.set(row, index * k);
    });
    const columns = Math.min(COLUMNS, layer.outputs);
    const w = new Float32Array(columns * k);
    const data = layer.weight.constant!.floats();
    for (let column = 0; column < columns; column++) {
      const output = Math.floor((column * layer.outputs) / columns);
      if (layer.axis !== -1 || layer.node.int("transB", 0) !== 0) {
        w.set(data.subarray(output * k, (output + 1) * k), column * k);
      } else for (let i = 0; i < k; i++) w[column * k + i] = data[i * layer.outputs + output]!;
    }
    const channelOf = Uint32Array.from({ length: k }, (_, i) => Math.floor(i / layer.inner / repeat));
    return { x, rows, w, columns, k, channelOf, ...ranges };
  }
}
