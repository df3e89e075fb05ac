/**
 * @file The model of saturating products against a plain emulation of the instructions, and against both runtimes.
 */
import { describe, expect, it } from "vitest";
import { modelOf, runAll, runtimes } from "../../../test/helpers.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import { describeMachine } from "../../measure/machine.ts";
import { encodeModel, joinChunks } from "../../onnx/encode.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { convolutionLayout, inKernelOrder, matrixLayout } from "../rows/layout.ts";
import { canSaturate, exactProduct, type Product, saturatingProduct, saturationOf } from "./product.ts";
import { safeScales } from "./safe-scales.ts";

const random = createRandom(11);
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => random.integer(256));
/** Codes −most … most. */
const codes = (length: number, most = 127): Int8Array =>
  Int8Array.from({ length }, () => random.integer(2 * most + 1) - most);

function randomProduct(rows: number, k: number, n: number, most = 127): Product {
  return { x: bytes(rows * k), w: codes(n * k, most), rows, k, n };
}

/** PMADDUBSW and PMADDWD as the manual words them, on 32 bytes at a time, K padded with zeros; and how many words were cut. */
function emulate({ x, w, rows, k, n }: Product): { readonly sums: number[]; readonly cut: number } {
  const sums: number[] = [];
  let cut = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < n; column++) {
      const lanes = new Int32Array(8);
      for (let start = 0; start < k; start += 32) {
        const a = new Uint8Array(32);
        const b = new Int8Array(32);
        a.set(x.subarray(row * k + start, row * k + Math.min(start + 32, k)));
        b.set(w.subarray(column * k + start, column * k + Math.min(start + 32, k)));
        const words = new Int16Array(16);
        for (let i = 0; i < 16; i++) {
          const wide = a[2 * i]! * b[2 * i]! + a[2 * i + 1]! * b[2 * i + 1]!;
          words[i] = Math.max(-32768, Math.min(32767, wide));
          if (words[i] !== wide) cut++;
        }
        for (let i = 0; i < 8; i++) lanes[i]! += words[2 * i]! + words[2 * i + 1]!;
      }
      sums.push(lanes.reduce((p, q) => p + q, 0));
    }
  }
  return { sums, cut };
}

describe("products", () => {
  it("by hand", () => {
    const layer = (x: number[], w: number[]): Product => ({
      x: Uint8Array.from(x),
      w: Int8Array.from(w),
      rows: 1,
      k: x.length,
      n: 1,
    });
    // 255·127·2 = 64,770 is cut to 32,767; −255·128·2 to −32,768; one of a pair alone fits.
    expect([...saturatingProduct(layer([255, 255], [127, 127]))]).toEqual([32767]);
    expect([...saturatingProduct(layer([255, 255], [-128, -128]))]).toEqual([-32768]);
    expect([...saturatingProduct(layer([255, 0, 255], [127, 127, 127]))]).toEqual([2 * 255 * 127]);
    expect([...saturatingProduct(layer([255, 255, 255, 255], [127, -127, 64, 64]))]).toEqual([255 * 128]);
    expect([...exactProduct(layer([255, 255], [127, 127]))]).toEqual([64770]);
    expect(saturationOf([{ ...layer([255, 255], [127, 127]), zeroPoint: 0, scale: [1] }])).toEqual({
      pairs: 1,
      saturated: 1,
      share: 1,
      sqnr: expect.closeTo(20 * Math.log10(64770 / (64770 - 32767)), 12),
    });
  });

  it.each([
    [3, 2, 4],
    [5, 64, 7],
    [4, 37, 5],
    [1, 200, 33],
  ])("%i rows, K %i, %i columns: as the instructions, with as many cut", (rows, k, n) => {
    const product = randomProduct(rows, k, n);
    const { sums, cut } = emulate(product);
    expect([...saturatingProduct(product)]).toEqual(sums);
    const scale = Float32Array.from({ length: n }, () => 0.5 + random.next());
    const found = saturationOf([{ ...product, zeroPoint: 100, scale }]);
    expect(found).toMatchObject({ pairs: rows * n * Math.ceil(k / 2), saturated: cut });
    const exact = exactProduct(product);
    let signal = 0;
    let noise = 0;
    for (let i = 0; i < exact.length; i++) {
      const column = i % n;
      const zero = 100 * product.w.subarray(column * k, (column + 1) * k).reduce((a, b) => a + b, 0);
      signal += ((exact[i]! - zero) * scale[column]!) ** 2;
      noise += ((exact[i]! - sums[i]!) * scale[column]!) ** 2;
    }
    if (noise > 0) expect(found.sqnr).toBeCloseTo(10 * Math.log10(signal / noise), 9);
  });

  it("weights of 7 bits never saturate, those of 8 do", () => {
    const seven = randomProduct(40, 300, 20, 63);
    expect(canSaturate(seven.w, seven.k)).toBe(false);
    expect(emulate(seven).cut).toBe(0);
    expect(saturatingProduct(seven)).toEqual(exactProduct(seven));
    const worst = { ...seven, x: new Uint8Array(40 * 300).fill(255), w: new Int8Array(20 * 300).fill(-64) };
    expect(saturatingProduct(worst)).toEqual(exactProduct(worst));
    expect(canSaturate(codes(300), 300)).toBe(true);
    // Signs that differ within a pair, and the last one of an odd number, are harmless.
    expect(canSaturate(Int8Array.of(127, -127, 127), 3)).toBe(false);
    expect(canSaturate(Int8Array.of(65, 64), 2)).toBe(true);
    expect(canSaturate(Int8Array.of(64, 64), 2)).toBe(false);
  });
});

it.each([
  [50, 64],
  [50, 33],
  [50, 2],
])("safe scales make saturation impossible and are no larger than those of 7 bits: %i × %i", (n, k) => {
  const weights = Float32Array.from({ length: n * k }, () => random.normal() * 10 ** (4 * random.next() - 2));
  const scales = safeScales(weights, n, k);
  const rounded = Int8Array.from(weights, (weight, i) => Math.round(weight / scales[Math.floor(i / k)]!));
  expect(canSaturate(rounded, k)).toBe(false);
  for (const [row, scale] of scales.entries()) {
    const largest = Math.max(...weights.subarray(row * k, (row + 1) * k).map(Math.abs));
    expect(scale).toBeGreaterThanOrEqual(Math.fround(largest / 127));
    expect(scale).toBeLessThanOrEqual(largest / 63);
  }
});

const list = (values: ArrayLike<number>): string => `{${Array.from(values).join(", ")}}`;

/** Layers in integer form, and the model of their sums. */
const MATRICES = [
  { rows: 5, k: 32, n: 24 },
  { rows: 1, k: 37, n: 5 },
  { rows: 70, k: 1000, n: 33 },
].map((size) => ({ ...size, product: randomProduct(size.rows, size.k, size.n) }));

const CONVOLUTIONS = [
  { name: "3×3", c: 8, o: 16, kernel: [3, 3] },
  { name: "pointwise", c: 8, o: 16, kernel: [1, 1] },
  { name: "stride 2", c: 8, o: 16, kernel: [3, 3], stride: 2 },
  { name: "odd channels: pairs across taps", c: 5, o: 7, kernel: [3, 3] },
  { name: "channels of an image", c: 3, o: 16, kernel: [3, 3] },
  { name: "one dimension", c: 6, o: 8, kernel: [3] },
  { name: "groups", c: 8, o: 16, kernel: [3, 3], groups: 2 },
  { name: "one channel in, two out per group", c: 4, o: 8, kernel: [3, 3], groups: 4 },
  { name: "depthwise", c: 16, o: 16, kernel: [3, 3], groups: 16 },
].map((item) => ({ stride: 1, groups: 1, ...item, size: item.kernel.map((_, axis) => 9 - axis) }));

/** A MatMulInteger of the product. */
function matMul({ x, w, rows, k, n }: Product): { readonly file: Uint8Array; readonly x: Tensor } {
  const columns = inKernelOrder(w, matrixLayout([n, k], false)); // [N, K] read as [K', N'] is transposed back
  const text = `(uint8[${rows}, ${k}] x) => (int32[${rows}, ${n}] y) <int8[${k}, ${n}] w = ${list(columns)}> { y = MatMulInteger(x, w) }`;
  return { file: joinChunks(encodeModel(toOnnx(modelOf(text)))), x: Tensor.of("uint8", [rows, k], x) };
}

const vnni = (await describeMachine()).vnni;

// Other processors sum in 32 bits: there is nothing to compare with.
describe.skipIf(vnni !== false)("as onnxruntime-node computes on this processor, which has no VNNI", () => {
  it.each(MATRICES)("MatMulInteger $rows × $k × $n", async ({ product }) => {
    const { file, x } = matMul(product);
    const [{ y }] = (await runAll(await runtimes.node(), file, [{ x }])) as [{ y: Tensor }];
    expect(y.numbers()).toEqual([...saturatingProduct(product)]);
    expect(y.numbers()).not.toEqual([...exactProduct(product)]);
  });

  it.each(CONVOLUTIONS)("QLinearConv, $name", async (item) => {
    const { node, saturating, exact } = await convolution(item);
    expect(node).toEqual(item.name === "depthwise" ? exact : saturating);
    expect(exact).not.toEqual(saturating);
  });
});

describe("as onnxruntime-web computes everywhere: exactly", () => {
  it.each(MATRICES)("MatMulInteger $rows × $k × $n", async ({ product }) => {
    const { file, x } = matMul(product);
    const [{ y }] = (await runAll(await runtimes.web(), file, [{ x }])) as [{ y: Tensor }];
    expect(y.numbers()).toEqual([...exactProduct(product)]);
  });
});

/** A QLinearConv's codes, and what both models of its sums say they are. */
async function convolution({ c, o, kernel, stride, groups, size }: (typeof CONVOLUTIONS)[number]): Promise<{
  readonly node: number[];
  readonly saturating: number[];
  readonly exact: number[];
}> {
  const zeroPoint = 90;
  const pad = kernel.map((length) => length >> 1);
  const taps = kernel.reduce((a, b) => a * b, 1);
  const w = codes((o * c * taps) / groups);
  const x = bytes(c * size.reduce((a, b) => a * b, 1));
  // Depthwise ones have no layout: as if they were computed like others.
  const strides = { row: taps, tap: 1, channel: taps };
  const plain = { n: o, k: taps, groups, channels: 1, strides };
  const layout = convolutionLayout([o, c / groups, ...kernel], groups) ?? plain;
  const { k, channels } = layout;
  const outputs = size.map((length, axis) => Math.floor((length + 2 * pad[axis]! - kernel[axis]!) / stride) + 1);
  const positions = outputs.reduce((a, b) => a * b, 1);
  const ordered = inKernelOrder(w, layout);
  const sums = { saturating: new Array<number>(o * positions), exact: new Array<number>(o * positions) };
  for (let group = 0; group < groups; group++) {
    const rows = new Uint8Array(positions * k);
    for (let position = 0; position < positions; position++) {
      for (let tap = 0; tap < taps; tap++) {
        let [rest, restTap, offset, step, inside] = [position, tap, 0, 1, true];
        for (let axis = size.length - 1; axis >= 0; axis--) {
          const at = (rest % outputs[axis]!) * stride - pad[axis]! + (restTap % kernel[axis]!);
          inside &&= at >= 0 && at < size[axis]!;
          offset += at * step;
          step *= size[axis]!;
          rest = Math.floor(rest / outputs[axis]!);
          restTap = Math.floor(restTap / kernel[axis]!);
        }
        for (let channel = 0; channel < channels; channel++) {
          const code = inside ? x[(group * channels + channel) * step + offset]! : zeroPoint;
          rows[position * k + tap * channels + channel] = code;
        }
      }
    }
    const n = o / groups;
    const own = ordered.subarray(group * n * k, (group + 1) * n * k);
    const product = { x: rows, w: own, rows: positions, k, n };
    for (const [name, result] of [
      ["saturating", saturatingProduct(product)],
      ["exact", exactProduct(product)],
    ] as const) {
      for (const [i, sum] of result.entries()) {
        const column = i % n;
        const zero = zeroPoint * own.subarray(column * k, (column + 1) * k).reduce((a, b) => a + b, 0);
        sums[name][(group * n + column) * positions + Math.floor(i / n)] = sum - zero;
      }
    }
  }
  const scale = 2 ** Math.ceil(Math.log2(Math.max(...sums.exact.map(Math.abs)) / 120));
  const requantize = (sum: number): number => {
    const MAGIC = 1.5 * 2 ** 52; // ties to even
    return Math.max(0, Math.min(255, sum / scale + MAGIC - MAGIC + 128));
  };
  const zeros = new Array(o).fill(0);
  const ones = new Array(o).fill(1);
  const text = `(uint8[1, ${c}, ${size.join(", ")}] x) => (uint8[] y)
    <float one = {1}, uint8 z = {${zeroPoint}}, int8[${o}] wz = ${list(zeros)}, float[${o}] ws = ${list(ones)},
     int8[${o}, ${c / groups}, ${kernel.join(", ")}] w = ${list(w)}, float ys = {${scale}}, uint8 yz = {128}>
    { y = QLinearConv <group = ${groups}, strides = [${kernel.map(() => stride).join(", ")}], pads = [${[...pad, ...pad].join(", ")}]> (x, one, z, w, ws, wz, ys, yz) }`;
  const file = joinChunks(encodeModel(toOnnx(modelOf(text))));
  const feeds = { x: Tensor.of("uint8", [1, c, ...size], x) };
  const [{ y }] = (await runAll(await runtimes.node(), file, [feeds])) as [{ y: Tensor }];
  return { node: y.numbers(), saturating: sums.saturating.map(requantize), exact: sums.exact.map(requantize) };
}
