/**
 * @file Which elements of a tensor share one scale and zero point: the three granularities, lowered to one index layout here
 * and nowhere else. Source: ONNX QuantizeLinear-21 (per-tensor, per-axis and blocked quantization).
 */
import { elementCount } from "../tensor/dtype.ts";
import { GraphError, OptionError } from "../util/errors.ts";

/**
 * - `per-tensor`: one scale; ONNX scale shape `[]`.
 * - `per-axis`: one scale per index of `axis`; ONNX scale shape `[dims[axis]]`. PyTorch's "per channel".
 * - `blocked`: along `axis` each run of `blockSize` elements has a scale, and every other index its own; ONNX scale shape is
 *   `dims` with `dims[axis]` replaced by `ceil(dims[axis] / blockSize)`. The last block may be shorter. Needs opset 21.
 *
 * Negative axes count from the end.
 */
export type Granularity =
  | { readonly kind: "per-tensor" }
  | { readonly kind: "per-axis"; readonly axis: number }
  | { readonly kind: "blocked"; readonly axis: number; readonly blockSize: number };

/**
 * A tensor seen as `[outer, length, inner]` (row-major, axis in the middle) and cut into groups. Element `(o, a, i)` belongs to
 * group `o · strides[0] + floor(a / block) · strides[1] + i · strides[2]`, which is also its index in the ONNX scale tensor.
 */
export interface GroupView {
  /** The tensor's name for messages. */
  readonly name: string;
  readonly dims: readonly number[];
  /** With its axis normalised to `0 … rank-1`. */
  readonly granularity: Granularity;
  /** Product of the dimensions before the axis. */
  readonly outer: number;
  readonly length: number;
  /** Product of the dimensions after the axis. */
  readonly inner: number;
  /** Elements along the axis that share a group. */
  readonly block: number;
  readonly strides: readonly [outer: number, block: number, inner: number];
  /** Number of elements. */
  readonly size: number;
  /** Number of groups: the length of `scale` and `zeroPoint`. */
  readonly groups: number;
  /** Dimensions of the ONNX scale tensor. */
  readonly scaleDims: readonly number[];
}

/** `axis` as `0 … rank-1`. @throws OptionError naming dims and axis where it is outside. */
export function normalizeAxis(axis: number, dims: readonly number[], name = "tensor"): number {
  const rank = dims.length;
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new OptionError({
      area: "quantize",
      subject: `${name} [${dims.join(", ")}]`,
      problem: `expected ${rank === 0 ? "no axis (a scalar has none)" : `an axis in ${-rank} … ${rank - 1}`}, got axis ${axis}`,
      help: rank === 0 ? "Use per-tensor granularity." : undefined,
    });
  }
  return axis < 0 ? axis + rank : axis;
}

/**
 * Lowers a granularity for a tensor of these dimensions.
 * @param name the tensor's name for messages. Default "tensor".
 * @throws OptionError for an axis outside the tensor or a block size that is not a positive integer, naming dims and axis.
 */
export function groupView(dims: readonly number[], granularity: Granularity, name = "tensor"): GroupView {
  const size = elementCount(dims);
  if (granularity.kind === "per-tensor") {
    const layout = { outer: 1, length: size, inner: 1, block: Math.max(size, 1), strides: [0, 0, 0] } as const;
    return { name, dims, granularity, ...layout, size, groups: 1, scaleDims: [] };
  }
  const axis = normalizeAxis(granularity.axis, dims, name);
  const outer = elementCount(dims.slice(0, axis));
  const length = dims[axis]!;
  const inner = elementCount(dims.slice(axis + 1));
  const common = { name, dims, outer, length, inner, size };
  if (granularity.kind === "per-axis") {
    const lowered = { granularity: { kind: "per-axis", axis }, block: 1, strides: [0, 1, 0] } as const;
    return { ...common, ...lowered, groups: length, scaleDims: [length] };
  }
  const { blockSize } = granularity;
  if (!Number.isInteger(blockSize) || blockSize < 1) {
    throw new OptionError({
      area: "quantize",
      subject: `${name} [${dims.join(", ")}], axis ${axis}`,
      problem: `expected a block size that is a positive integer, got ${blockSize}`,
    });
  }
  const blocks = Math.ceil(length / blockSize);
  return {
    ...common,
    granularity: { kind: "blocked", axis, blockSize },
    block: blockSize,
    strides: [blocks * inner, inner, 1],
    groups: outer * blocks * inner,
    scaleDims: dims.with(axis, blocks),
  };
}

/** How messages name the tensor of a view. */
export function describeView(view: GroupView): string {
  return `${view.name} [${view.dims.join(", ")}]`;
}

/** @throws GraphError where an array has not one element per element of the view. */
export function checkSize(view: GroupView, length: number): void {
  if (length === view.size) return;
  throw new GraphError({
    area: "quantize",
    subject: describeView(view),
    problem: `expected ${view.size} elements, got ${length}`,
  });
}

/** @throws GraphError naming the first NaN or infinite element by its flat index and coordinates. */
export function checkFinite(view: GroupView, data: Float32Array): void {
  const index = data.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  let rest = index;
  const coordinates = view.dims
    .toReversed()
    .map((dim) => {
      const coordinate = rest % dim;
      rest = (rest - coordinate) / dim;
      return coordinate;
    })
    .reverse();
  throw new GraphError({
    area: "quantize",
    subject: describeView(view),
    problem: `expected finite values, got ${data[index]} at index ${index} ([${coordinates.join(", ")}])`,
    help: "Values that are not finite cannot be quantized: check the export or the training run.",
  });
}

/** Consecutive elements `start … end-1` of one group. */
export type RunVisitor = (start: number, end: number, group: number) => void;

/**
 * A tile of `rows` × `columns` elements whose rows start `stride` elements apart; column `c` of every row belongs to group
 * `group + c`. A group never spans two tiles.
 */
export type TileVisitor = (start: number, rows: number, columns: number, stride: number, group: number) => void;

/** Columns of one tile: their scales, zero points and extremes (≤ 20 bytes each) stay in the second-level cache. */
const TILE_COLUMNS = 4096;

/**
 * Walks all elements once, close to memory order, as runs of one group where the groups are contiguous and as tiles where
 * neighbours belong to different groups (ONNX's MatMul weights `[K, N]` per column). A group may come in several runs.
 */
export function forEachSpan(view: GroupView, onRun: RunVisitor, onTile: TileVisitor): void {
  const { outer, length, inner, size } = view;
  if (size === 0) return;
  const tiles = (start: number, rows: number, columns: number, group: number): void => {
    for (let c = 0; c < columns; c += TILE_COLUMNS) {
      onTile(start + c, rows, Math.min(TILE_COLUMNS, columns - c), columns, group + c);
    }
  };
  switch (view.granularity.kind) {
    case "per-tensor":
      onRun(0, size, 0);
      return;
    case "per-axis":
      if (inner === 1) {
        tiles(0, outer, length, 0);
        return;
      }
      for (let row = 0; row < outer * length; row++) onRun(row * inner, (row + 1) * inner, row % length);
      return;
    case "blocked": {
      const { block } = view;
      let group = 0;
      for (let o = 0; o < outer; o++) {
        for (let a = 0; a < length; a += block, group += inner) {
          const start = (o * length + a) * inner;
          const rows = Math.min(block, length - a);
          if (inner === 1) onRun(start, start + rows, group);
          else tiles(start, rows, inner, group);
        }
      }
      return;
    }
  }
}
