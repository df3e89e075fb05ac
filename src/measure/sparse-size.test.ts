import { brotliCompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { chunksLength, encodeSparseTensor } from "../onnx/encode.ts";
import { tensorToSparseProto, toSparse } from "../onnx/sparse-proto.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { sparseSizes, sparseSizeTable } from "./sparse-size.ts";

function sparseFloats(dims: readonly number[], density: number, seed = 3): Tensor {
  const random = createRandom(seed);
  const size = dims.reduce((a, b) => a * b, 1);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: size }, () => (random.next() < density ? random.normal() : 0)),
  );
}

/** CSR as scipy builds it: three arrays of the narrowest types. */
function csrBytes(tensor: Tensor, rows: number): number {
  const data = tensor.floats();
  const columns = data.length / rows;
  const values: number[] = [];
  const indices: number[] = [];
  const pointers = [0];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      if (data[r * columns + c] === 0) continue;
      values.push(data[r * columns + c]!);
      indices.push(c);
    }
    pointers.push(values.length);
  }
  const narrowest = (numbers: number[], most: number): ArrayBufferView =>
    most < 256 ? Uint8Array.from(numbers) : most < 65_536 ? Uint16Array.from(numbers) : Uint32Array.from(numbers);
  return (
    Float32Array.from(values).byteLength +
    narrowest(indices, columns - 1).byteLength +
    narrowest(pointers, values.length).byteLength
  );
}

/** Gaps as a string of bits, with codes of `k` bits and values of 32, and read back. */
function gapBits(data: Float32Array, k: number): number {
  const most = 2 ** k - 1;
  const stream: { zeros: number; value: number }[] = [];
  let zeros = 0;
  const last = data.findLastIndex((value) => value !== 0);
  for (let i = 0; i <= last; i++) {
    if (data[i] === 0 && zeros < most) zeros++;
    else {
      stream.push({ zeros, value: data[i]! });
      zeros = 0;
    }
  }
  const decoded = stream.flatMap(({ zeros: count, value }) => [...new Array<number>(count).fill(0), value]);
  expect(decoded).toEqual([...data.subarray(0, last + 1)]);
  return stream.length * (k + 32);
}

describe("sizes of one tensor", () => {
  it.each([
    ["a matrix of 90 % zeros", [64, 300], 0.1],
    ["a convolution's weight", [16, 8, 3, 3], 0.3],
    ["few rows, long", [2, 70_000], 0.002],
    ["a vector", [500], 0.05],
  ] as const)("%s: as encoders written for the test give them", (_, dims, density) => {
    const tensor = sparseFloats(dims, density);
    const data = tensor.floats();
    const sizes = sparseSizes(tensor)!;
    const nonZero = data.filter((value) => value !== 0).length;
    const rows = dims.length < 2 ? 1 : dims[0];
    expect([sizes.elements, sizes.nonZero, sizes.dense]).toEqual([data.length, nonZero, data.byteLength]);
    expect(sizes.csr).toBe(csrBytes(tensor, rows));
    const bits = new Set(Array.from({ length: 16 }, (_k, i) => gapBits(data, i + 1)));
    expect(sizes.gap).toBe(Math.ceil(Math.min(...bits) / 8));
    let mask = "";
    for (const value of data) mask += value === 0 ? "0" : "1";
    expect(sizes.bitmap).toBe((mask.match(/.{1,8}/g) ?? []).length + 4 * nonZero);
    // The gaps as they stand in the mask, and −Σ p log2 p over them.
    const gaps = mask
      .split("1")
      .slice(0, -1)
      .map((run) => run.length);
    const entropy = gaps.reduce((sum, gap) => sum - Math.log2(gaps.filter((g) => g === gap).length / gaps.length), 0);
    expect(Math.abs(sizes.gapEntropy - (4 * nonZero + entropy / 8))).toBeLessThan(1.01);
    expect(sizes.sparseInitializer).toBe(
      chunksLength(encodeSparseTensor(tensorToSparseProto(toSparse(tensor)!, undefined))),
    );
  });

  it("coordinates take the bytes that their axes need", () => {
    const data = new Float32Array(300 * 7);
    data[5] = 1;
    data[2000] = 2;
    // Two values of 4 bytes, rows of 2, columns of 1.
    expect(sparseSizes(Tensor.float32([300, 7], data))!.coo).toBe(2 * (4 + 2 + 1));
  });

  it("8-bit codes count as bytes; nothing but zeros takes no values", () => {
    const codes = Tensor.of("int8", [4, 4], new Int8Array(16).fill(3, 0, 4));
    expect(sparseSizes(codes)).toMatchObject({ dense: 16, nonZero: 4, bitmap: 6, coo: 12 });
    const zeros = sparseSizes(Tensor.float32([8, 8], new Float32Array(64)))!;
    expect(zeros).toMatchObject({ dense: 256, nonZero: 0, bitmap: 8, coo: 0, csr: 0, gap: 0, gapEntropy: 0 });
  });

  it("scalars have no sparse form, packed types no sizes", () => {
    expect(sparseSizes(Tensor.scalar("float32", 0))!.sparseInitializer).toBeUndefined();
    expect(sparseSizes(Tensor.deferred("int4", [8], () => new Uint8Array(4)))).toBeUndefined();
  });
});

describe("sizes of all", () => {
  it("are sums, with what gzip and brotli make of each", async () => {
    const [a, b] = [sparseFloats([40, 50], 0.1), sparseFloats([30, 30], 0.5, 4)];
    const { rows, total } = await sparseSizeTable([
      { name: "a", tensor: a },
      { name: "b", tensor: b },
      { name: "text", tensor: Tensor.strings([1], ["x"]) },
    ]);
    expect(rows.map(({ name }) => name)).toEqual(["a", "b"]);
    const gzip = [a, b].map((tensor) => gzipSync(tensor.bytes(), { level: 6 }).byteLength);
    expect(rows.map((row) => row.gzip)).toEqual(gzip);
    expect(gunzipSync(gzipSync(a.bytes())).byteLength).toBe(rows[0]!.dense);
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
    rows.forEach((row, i) => {
      const alone = brotliCompressSync([a, b][i]!.bytes(), quality).byteLength;
      // The hint of the size may shift a few bytes.
      expect(Math.abs(row.brotli! - alone)).toBeLessThan(0.02 * alone);
    });
    expect(total).toMatchObject({
      elements: 2900,
      nonZero: rows[0]!.nonZero + rows[1]!.nonZero,
      bitmap: rows[0]!.bitmap + rows[1]!.bitmap,
      gzip: gzip[0]! + gzip[1]!,
    });
  });
});
