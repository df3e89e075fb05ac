/**
 * @file Resizing along one axis as a matrix: output = matrix · input. All modes of Resize are such products, axis by axis.
 *
 * Computed with single precision where ONNX Runtime does, so that nearest neighbours fall on the same side.
 * Source: ONNX Resize-19; onnxruntime/core/providers/cpu/tensor/upsamplebase.h.
 */
import { UnsupportedError } from "../../../util/errors.ts";

export interface ResizeAxis {
  readonly input: number;
  readonly output: number;
  /** As the node has it: output / input only up to rounding. */
  readonly scale: number;
}

export interface ResizeMode {
  readonly mode: "nearest" | "linear" | "cubic";
  readonly transformation: string;
  readonly nearest: string;
  /** Of cubic kernels. */
  readonly a: number;
  /** Cubic: what lies outside has no weight, and the rest sums to 1. */
  readonly excludeOutside: boolean;
}

const f32 = Math.fround;

/** Where output `o` lies in the input, per coordinate_transformation_mode. */
const TRANSFORMATIONS: Readonly<Record<string, (o: number, axis: ResizeAxis) => number>> = {
  half_pixel: (o, { scale }) => f32(f32((o + 0.5) / f32(scale)) - 0.5),
  pytorch_half_pixel: (o, { scale, output }) => (output > 1 ? f32(f32((o + 0.5) / f32(scale)) - 0.5) : 0),
  half_pixel_symmetric: (o, { scale, input, output }) => {
    const adjustment = f32(output / f32(f32(scale) * input));
    const offset = f32((input / 2) * f32(1 - adjustment));
    return f32(offset + f32(f32((o + 0.5) / f32(scale)) - 0.5));
  },
  align_corners: (o, { input, output }) => (output === 1 ? 0 : f32(f32(o * (input - 1)) / (output - 1))),
  asymmetric: (o, { scale }) => f32(o / f32(scale)),
};

/** Which neighbour of a place is the nearest, per nearest_mode. */
const ROUNDINGS: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => (x === Math.trunc(x) + 0.5 ? Math.floor(x) : Math.round(x)),
  round_prefer_ceil: (x) => Math.round(x),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Row by row, [output, input]. @throws UnsupportedError for a mode that is not such a product. */
export function resizeMatrix(axis: ResizeAxis, options: ResizeMode): Float32Array {
  const place = TRANSFORMATIONS[options.transformation];
  const nearest = ROUNDINGS[options.nearest];
  if (place === undefined || nearest === undefined) {
    throw new UnsupportedError({
      area: "autodiff",
      subject: "Resize",
      problem: `expected coordinates and roundings of ONNX that only resize, got "${options.transformation}" and "${options.nearest}"`,
    });
  }
  const { input, output } = axis;
  const matrix = new Float32Array(output * input);
  const clamp = (x: number): number => Math.min(Math.max(x, 0), input - 1);
  for (let o = 0; o < output; o++) {
    const x = place(o, axis);
    const row = matrix.subarray(o * input, (o + 1) * input);
    if (options.mode === "nearest") row[clamp(nearest(x))] = 1;
    else if (options.mode === "linear") {
      const inside = clamp(x);
      const low = Math.floor(inside);
      row[low]! += 1 - (inside - low);
      row[Math.min(low + 1, input - 1)]! += inside - low;
    } else addCubic(row, x, options, clamp);
  }
  return matrix;
}

/** Cubic convolution over four neighbours. Source: Keys 1981, equation 4, as ONNX's Resize has it. */
function addCubic(row: Float32Array, x: number, { a, excludeOutside }: ResizeMode, clamp: (x: number) => number): void {
  const low = Math.floor(x);
  const s = x - low;
  const weights = [
    ((a * (s + 1) - 5 * a) * (s + 1) + 8 * a) * (s + 1) - 4 * a,
    ((a + 2) * s - (a + 3)) * s * s + 1,
    ((a + 2) * (1 - s) - (a + 3)) * (1 - s) * (1 - s) + 1,
    ((a * (2 - s) - 5 * a) * (2 - s) + 8 * a) * (2 - s) - 4 * a,
  ];
  const places = weights.map((_, i) => low - 1 + i);
  const kept = weights.map((weight, i) => (excludeOutside && places[i] !== clamp(places[i]!) ? 0 : weight));
  const total = excludeOutside ? kept.reduce((sum, weight) => sum + weight, 0) : 1;
  for (const [i, weight] of kept.entries()) row[clamp(places[i]!)]! += weight / total;
}
