/**
 * @file Rows of activations as integer kernels read them, sampled while calibration data pass: for a matrix product rows
 * of the left operand, for a convolution the input under the kernel at one output position, channels last (im2col).
 */
import type { Node } from "../../graph/node.ts";
import { bytesOf, type Tensor } from "../../tensor/tensor.ts";
import { FormatError } from "../../util/errors.ts";
import type { Random } from "../../util/random.ts";
import type { Candidate } from "../candidates.ts";
import type { KernelLayout } from "./layout.ts";

export interface Row {
  /** The group of channels it belongs to. */
  readonly group: number;
  /** `[k]` in the order of {@link KernelLayout}; padding is 0. */
  readonly values: Float32Array;
}

/** Keeps a fixed number of rows of all that pass, each with the same probability per sample (Vitter's algorithm R). */
export interface RowSampler {
  /** The left operand of one sample: `[…, K]`, or `[N, C, spatial…]`. */
  observe(x: Tensor): void;
  rows(): readonly Row[];
}

const MAX_ROWS = 512;
const MIN_ROWS = 8;
/** Floats that the rows of one layer take: half a megabyte, more only where eight rows do. */
const MAX_FLOATS = 2 ** 17;
/** Rows looked at in one sample: more of one say less than others of the next. */
const ROWS_PER_SAMPLE = 64;

/** @param capacity rows that are kept. Default: as many as fit half a megabyte. */
export function rowSampler(
  { node, kind }: Pick<Candidate, "node" | "kind">,
  layout: KernelLayout,
  random: Random,
  capacity = Math.max(MIN_ROWS, Math.min(MAX_ROWS, Math.floor(MAX_FLOATS / layout.k))),
): RowSampler {
  const kept: Row[] = [];
  let seen = 0;
  const matrix = kind === "matmul" || kind === "gemm";
  return {
    observe(x) {
      const pick = matrix ? matrixRows(x, layout) : convolutionRows(node, x, layout);
      for (let i = 0; pick !== undefined && i < ROWS_PER_SAMPLE; i++, seen++) {
        const place = seen < capacity ? seen : random.integer(seen + 1);
        if (place < capacity) kept[place] = pick(random);
      }
    },
    rows: () => kept,
  };
}

type PickRow = (random: Random) => Row;

function matrixRows(x: Tensor, { k }: KernelLayout): PickRow | undefined {
  const count = x.size / k;
  if (!Number.isInteger(count) || count === 0) return undefined;
  const data = x.floats();
  return (random) => {
    const row = random.integer(count);
    return { group: 0, values: data.slice(row * k, (row + 1) * k) };
  };
}

function convolutionRows(node: Node, x: Tensor, layout: KernelLayout): PickRow | undefined {
  const [batch = 0, allChannels = 0, ...size] = x.dims;
  const kernel = node.inputs[1]!.initializer!.dims.slice(2);
  const strides = node.ints("strides") ?? kernel.map(() => 1);
  const dilations = node.ints("dilations") ?? kernel.map(() => 1);
  const { begin, outputs } = geometry(node, size, kernel, strides, dilations);
  if (batch === 0 || size.length !== kernel.length || outputs.some((length) => length < 1)) return undefined;
  const data = x.floats();
  const { channels, groups, k } = layout;
  const plane = size.reduce((a, b) => a * b, 1);
  return (random) => {
    const group = random.integer(groups);
    const image = (random.integer(batch) * allChannels + group * channels) * plane;
    const start = outputs.map((length, axis) => random.integer(length) * strides[axis]! - begin[axis]!);
    const values = new Float32Array(k);
    const tap = kernel.map(() => 0);
    for (let to = 0; to < k; to += channels) {
      let offset = 0;
      let inside = true;
      for (const [axis, length] of size.entries()) {
        const at = start[axis]! + tap[axis]! * dilations[axis]!;
        if (at < 0 || at >= length) inside = false;
        offset = offset * length + at;
      }
      if (inside) for (let c = 0; c < channels; c++) values[to + c] = data[image + c * plane + offset]!;
      for (let axis = tap.length - 1; axis >= 0 && ++tap[axis]! === kernel[axis]!; axis--) tap[axis] = 0;
    }
    return { group, values };
  };
}

/** Padding in front and number of outputs per axis. Source: ONNX Conv-11. */
function geometry(
  node: Node,
  size: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): { readonly begin: number[]; readonly outputs: number[] } {
  const mode = node.string("auto_pad", "NOTSET");
  const pads = mode === "NOTSET" ? (node.ints("pads") ?? []) : [];
  const begin: number[] = [];
  const outputs: number[] = [];
  for (const [axis, length] of size.entries()) {
    const reach = (kernel[axis]! - 1) * dilations[axis]! + 1;
    const stride = strides[axis]!;
    if (mode === "SAME_UPPER" || mode === "SAME_LOWER") {
      const count = Math.ceil(length / stride);
      const total = Math.max((count - 1) * stride + reach - length, 0);
      begin.push(mode === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2));
      outputs.push(count);
    } else {
      const before = pads[axis] ?? 0;
      const after = pads[axis + size.length] ?? 0;
      begin.push(before);
      outputs.push(Math.floor((length + before + after - reach) / stride) + 1);
    }
  }
  return { begin, outputs };
}

/** Rows as plain JSON values: values as base64 of little-endian float32. */
export interface SavedRows {
  readonly groups: readonly number[];
  /** `[rows, k]` */
  readonly values: string;
}

export function saveRows(rows: readonly Row[]): SavedRows {
  const k = rows[0]?.values.length ?? 0;
  const values = new Float32Array(rows.length * k);
  for (const [index, row] of rows.entries()) values.set(row.values, index * k);
  return { groups: rows.map(({ group }) => group), values: toBase64(bytesOf(values)) };
}

/** @throws FormatError for another number of values than `k` for each row. */
export function restoreRows({ groups, values }: SavedRows, k: number, subject: string): Row[] {
  const bytes = fromBase64(values);
  if (bytes.byteLength !== 4 * k * groups.length) {
    throw new FormatError({
      area: "quantize",
      subject,
      problem: `expected ${groups.length} saved rows of ${k} values, got ${bytes.byteLength} bytes`,
      help: "Calibrate again: the statistics are of another model.",
    });
  }
  const all = new Float32Array(bytes.buffer);
  return groups.map((group, index) => ({ group, values: all.subarray(index * k, (index + 1) * k) }));
}

/** Characters that are made of bytes at once: more arguments overflow the stack. */
const CHUNK = 8192;

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
