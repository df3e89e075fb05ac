/**
 * @file Windows that slide over spatial axes: where each tap of a kernel reads its input, and the adjoint of reading it.
 *
 * Along one axis, tap t of output o reads the padded input at o·stride + t·dilation. Values are [N, C, …spatial] with any
 * number of spatial axes. Source: ONNX Conv-11, ConvTranspose-11, AveragePool-19; paddings as ONNX Runtime computes them.
 */
import type { Builder } from "../../graph/builder.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";

/** All per spatial axis. The padding behind the input follows from the number of outputs. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding in front; negative where the first inputs are skipped. */
  readonly begin: readonly number[];
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/** The windows of a convolution or a pool. */
export function windowsOf(
  node: Node,
  kernel: readonly number[],
  input: readonly number[],
  output: readonly number[],
): Windows {
  const ones = kernel.map(() => 1);
  const strides = node.ints("strides") ?? ones;
  const dilations = node.ints("dilations") ?? ones;
  const mode = node.string("auto_pad", "NOTSET");
  const pads = mode === "NOTSET" ? node.ints("pads") : undefined;
  const reach = reachOf({ kernel, strides, dilations, output });
  const begin = input.map((length, axis) => {
    // Negative where a stride jumps over the end: ONNX Runtime then skips inputs in front as well.
    const total = reach[axis]! - length;
    if (mode === "SAME_UPPER") return Math.trunc(total / 2);
    return mode === "SAME_LOWER" ? Math.trunc((total + 1) / 2) : (pads?.[axis] ?? 0);
  });
  return { kernel, strides, dilations, begin, input, output };
}

/**
 * The windows of a transposed convolution, seen from the convolution that it is the adjoint of: `input` is what the
 * node makes, `output` what it reads.
 */
export function transposedWindowsOf(
  node: Node,
  kernel: readonly number[],
  made: readonly number[],
  read: readonly number[],
): Windows {
  const ones = kernel.map(() => 1);
  const strides = node.ints("strides") ?? ones;
  const dilations = node.ints("dilations") ?? ones;
  const mode = node.string("auto_pad", "NOTSET");
  const extra = node.ints("output_padding");
  const shared = mode === "SAME_UPPER" || mode === "SAME_LOWER" || node.has("output_shape");
  const pads = mode === "NOTSET" ? node.ints("pads") : undefined;
  const reach = reachOf({ kernel, strides, dilations, output: read });
  const begin = made.map((length, axis) => {
    if (!shared) return pads?.[axis] ?? 0;
    const total = Math.max(reach[axis]! + (extra?.[axis] ?? 0) - length, 0);
    return mode === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2);
  });
  return { kernel, strides, dilations, begin, input: made, output: read };
}

/** Padded inputs from the first to the last one that a window reads, per axis. */
export function reachOf(windows: Pick<Windows, "kernel" | "strides" | "dilations" | "output">): number[] {
  const { kernel, strides, dilations, output } = windows;
  return kernel.map((taps, axis) => (output[axis]! - 1) * strides[axis]! + (taps - 1) * dilations[axis]! + 1);
}

/** Padding behind the input; negative where the last inputs are in no window. */
export function tailOf(windows: Windows): number[] {
  return reachOf(windows).map((reach, axis) => reach - windows.begin[axis]! - windows.input[axis]!);
}

export const spatialOf = (dims: readonly number[]): readonly number[] => dims.slice(2);

export const product = (numbers: readonly number[]): number => numbers.reduce((all, n) => all * n, 1);

export const isOnes = (numbers: readonly number[]): boolean => numbers.every((n) => n === 1);

/** The windows are the inputs themselves: one tap, no stride, no padding. */
export function isPointwise(windows: Windows): boolean {
  return isOnes(windows.kernel) && isOnes(windows.strides) && windows.begin.every((n) => n === 0) && covers(windows);
}

/** The windows lie side by side and cover the input exactly. */
export function isTiled(windows: Windows): boolean {
  const { kernel, strides, dilations, begin } = windows;
  const beside = kernel.every((taps, axis) => taps === strides[axis] && (taps === 1 || dilations[axis] === 1));
  return beside && begin.every((n) => n === 0) && covers(windows);
}

const covers = (windows: Windows): boolean => tailOf(windows).every((n) => n === 0);

/** All taps of a kernel in row-major order. */
export function tapsOf(kernel: readonly number[]): number[][] {
  let taps: number[][] = [[]];
  for (const length of kernel) taps = taps.flatMap((tap) => Array.from({ length }, (_, i) => [...tap, i]));
  return taps;
}

/** Pads (or, where negative, crops) axes from `first` on. */
export function padAxes(
  b: Builder,
  value: Value,
  first: number,
  begin: readonly number[],
  end: readonly number[],
  options: { readonly rank: number; readonly fill?: number },
): Value {
  if ([...begin, ...end].every((n) => n === 0)) return value;
  const at = (list: readonly number[]): number[] =>
    Array.from({ length: options.rank }, (_, axis) => list[axis - first] ?? 0);
  const fill = options.fill === undefined ? undefined : b.scalar(options.fill);
  return b.op("Pad", [value, b.ints([...at(begin), ...at(end)]), fill]);
}

/** The input from the first to the last element that a window reads. */
export function padInput(b: Builder, x: Value, windows: Windows, fill?: number): Value {
  return padAxes(b, x, 2, windows.begin, tailOf(windows), { rank: windows.kernel.length + 2, fill });
}

/** What one tap reads for all outputs, of a padded input: […, …output]. `first`: the first spatial axis. */
export function readTap(b: Builder, padded: Value, windows: Windows, tap: readonly number[], first = 2): Value {
  const { strides, dilations, output } = windows;
  const reach = reachOf(windows);
  const axes = tap.flatMap((_, axis) => (reach[axis] === output[axis] ? [] : [axis]));
  if (axes.length === 0) return padded;
  const starts = axes.map((axis) => tap[axis]! * dilations[axis]!);
  const ends = axes.map((axis, i) => starts[i]! + (output[axis]! - 1) * strides[axis]! + 1);
  return b.slice(
    padded,
    starts,
    ends,
    axes.map((axis) => first + axis),
    axes.map((axis) => strides[axis]!),
  );
}

/**
 * The adjoint of reading: each tap's part [N, C, …output] is added to where the tap read it.
 *
 * Taps that share a remainder (t·dilation mod stride) fall on the same positions of a grid of stride: those are summed as
 * they are, shifted by whole steps of the grid; then the grids are interleaved once.
 * @param parts by tap, in the order of {@link tapsOf}. @param lead [N, C]. @returns [N, C, …input].
 */
export function writeTaps(
  b: Builder,
  parts: readonly Value[],
  windows: Windows,
  lead: readonly [number, number],
): Value {
  const { kernel, strides, dilations, begin, input, output } = windows;
  const rank = kernel.length + 2;
  const shift = kernel.map((taps, axis) => Math.floor(((taps - 1) * dilations[axis]!) / strides[axis]!));
  const length = output.map((count, axis) => count + shift[axis]!);
  const grids = new Map<string, Value[]>();
  for (const [i, tap] of tapsOf(kernel).entries()) {
    const at = tap.map((t, axis) => t * dilations[axis]!);
    const remainder = at.map((t, axis) => t % strides[axis]!).join();
    const steps = at.map((t, axis) => Math.floor(t / strides[axis]!));
    const rest = steps.map((n, axis) => shift[axis]! - n);
    const grid = grids.get(remainder) ?? [];
    grid.push(padAxes(b, parts[i]!, 2, steps, rest, { rank }));
    grids.set(remainder, grid);
  }
  const sums = tapsOf(strides).map((remainder) => {
    const grid = grids.get(remainder.join());
    if (grid === undefined) return b.full(0, [...lead, ...length]);
    return grid.length === 1 ? grid[0]! : b.op("Sum", grid);
  });
  const [n, c] = lead;
  const together = isOnes(strides)
    ? sums[0]!
    : interleave(b, b.reshape(b.concat(sums, 1), [n, ...strides, c, ...length]), [n, c], strides, length, "outer");
  const crop = begin.map((front) => -front);
  const end = input.map((size, axis) => size + begin[axis]! - length[axis]! * strides[axis]!);
  return padAxes(b, together, 2, crop, end, { rank });
}

/**
 * Interleaves grids: [N, …steps, C, …length] ("outer") or [N, C, …steps, …length] ("inner") to
 * [N, C, …(length · steps)].
 *
 * One axis after the other, the last first: ONNX Runtime exchanges two neighbouring axes 3 times faster than it does a
 * transposition of all at once.
 */
export function interleave(
  b: Builder,
  grids: Value,
  lead: readonly [number, number],
  steps: readonly number[],
  length: readonly number[],
  order: "outer" | "inner",
): Value {
  const [n, c] = lead;
  const inner = product(steps) * product(length);
  let mixed = grids;
  if (order === "outer" && c > 1) {
    mixed = b.transpose(b.reshape(grids, [n, product(steps), c, product(length)]), [0, 2, 1, 3]);
  }
  // [.., step, (steps and lengths of axes that are not done), length, (done)] to [.., the same, length · step, (done)]
  let done = 1;
  let open = n * c * inner;
  for (let axis = steps.length - 1; axis >= 0; axis--) {
    const [step, size] = [steps[axis]!, length[axis]!];
    open /= step * size;
    // The lengths of earlier axes lie between this axis's step and its length.
    const before = product(length.slice(0, axis));
    const outer = open / before;
    if (step > 1) {
      mixed = b.transpose(b.reshape(mixed, [outer, step, before * size, done]), [0, 2, 1, 3]);
    }
    done *= step * size;
  }
  return b.reshape(mixed, [...lead, ...length.map((size, axis) => size * steps[axis]!)]);
}
