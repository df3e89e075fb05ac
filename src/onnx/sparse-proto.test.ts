import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesOf, modelOf, reload, runAll, runtimes } from "../../test/helpers.ts";
import { sameModel } from "../../test/oracle.ts";
import { sparseModel } from "../../test/sparse-model.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import { hoistConstants } from "../passes/hoist-constants.ts";
import { runStep } from "../step/run.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { decodeModel } from "./decode.ts";
import { externalDataFromMemory, externalLocations } from "./external-data.ts";
import type { SparseTensorProto, TensorProto } from "./messages.ts";
import {
  isStoredSparse,
  storedByteLength,
  tensorFromSparseProto,
  tensorToSparseProto,
  toDense,
  toSparse,
} from "./sparse-proto.ts";
import { printModel } from "./text.ts";

interface Reference {
  readonly cases: readonly {
    readonly name: string;
    readonly model: string;
    readonly weight: readonly number[];
    readonly x: { readonly dims: readonly number[]; readonly data: readonly number[] };
    readonly y: readonly number[];
  }[];
  readonly written: {
    readonly bytes: string;
    readonly dense: readonly string[];
    readonly sparse: Readonly<Record<string, WrittenTensor>>;
  };
}

interface WrittenTensor {
  readonly dims: readonly number[];
  readonly dtype: string;
  readonly positions: readonly number[];
  readonly sum: number;
  readonly first: readonly number[];
}

const reference = JSON.parse(
  readFileSync(new URL("../../test/reference/sparse.json", import.meta.url), "utf8"),
) as Reference;

describe("files of another writer (onnx)", () => {
  it.each(reference.cases)("$name: ordinary constants, written back byte for byte, run on both runtimes", async (c) => {
    const bytes = Uint8Array.from(Buffer.from(c.model, "base64"));
    const model = fromOnnx(decodeModel(bytes));
    // What is unchanged goes out unchanged, before any pass.
    expect(sameModel(bytesOf(model), bytes)).toBe(true);
    await runStep(model, hoistConstants, {});
    const [w] = model.graph.initializers;
    expect([...w!.constant!.floats()]).toEqual(c.weight);
    expect(isStoredSparse(w!.constant!)).toBe(true);
    const feed = { x: Tensor.float32(c.x.dims, [...c.x.data]) };
    for (const runtime of [await runtimes.node(), await runtimes.web()]) {
      for (const file of [bytes, bytesOf(model)]) {
        const [result] = await runAll(runtime, file, [feed]);
        // Sums of up to 27 products of magnitude 1: rounding of float32 stays below 1e-5.
        result!.y!.floats().forEach((value, i) => {
          expect(Math.abs(value - c.y[i]!)).toBeLessThan(1e-5);
        });
      }
    }
  });
});

describe("files of ours", () => {
  it("are what another reader (onnx) has read", () => {
    const model = sparseModel();
    expect(Buffer.from(bytesOf(model)).toString("base64")).toBe(reference.written.bytes);
    const stored = [...model.graph.initializers].filter(({ constant }) => isStoredSparse(constant!));
    expect(stored.map(({ name }) => name)).toEqual(Object.keys(reference.written.sparse));
    for (const { name, constant } of stored) {
      const read = reference.written.sparse[name]!;
      const data = constant!.numbers();
      const positions = data.flatMap((value, i) => (value !== 0 ? [i] : []));
      expect([constant!.dims, constant!.dtype, positions]).toEqual([read.dims, read.dtype, read.positions]);
      expect(positions.slice(0, 5).map((at) => data[at])).toEqual(read.first);
      expect(data.reduce((sum, value) => sum + value, 0)).toBeCloseTo(read.sum, 9);
    }
  });

  it("survive another round, and run", async () => {
    const model = sparseModel();
    const again = reload(model);
    expect(bytesOf(again)).toEqual(bytesOf(model));
    for (const value of model.graph.initializers) value.initializer = toDense(value.initializer!);
    const feed = { x: Tensor.float32([1, 70], new Float32Array(70).fill(0.5)) };
    for (const runtime of [await runtimes.node(), await runtimes.web()]) {
      const [[a], [b]] = [await runAll(runtime, bytesOf(again), [feed]), await runAll(runtime, bytesOf(model), [feed])];
      expect([[...a!.y!.floats()], [...a!.c!.floats()]]).toEqual([[...b!.y!.floats()], [...b!.c!.floats()]]);
    }
  });
});

const int64 = (dims: number[], ...values: number[]): TensorProto => ({
  dims,
  dataType: DTYPES.int64.code,
  rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});

const float32 = (dims: number[], ...values: number[]): TensorProto => ({
  name: "w",
  dims,
  dataType: DTYPES.float32.code,
  rawData: new Uint8Array(Float32Array.from(values).buffer),
});

describe("what does not fit together", () => {
  it.each<[string, SparseTensorProto, RegExp]>([
    ["no values", { dims: [4] }, /expected values, got none/],
    ["values in two dimensions", { values: float32([1, 1], 1), dims: [4] }, /in one dimension, got \[1, 1\]/],
    ["no dimensions", { values: float32([0]) }, /at least one dimension/],
    ["a dimension of 0", { values: float32([0]), dims: [4, 0] }, /dimensions of 1 or more, got \[4, 0\]/],
    ["no positions", { values: float32([1], 1), dims: [4] }, /positions of 1 values, got none/],
    [
      "too few",
      { values: float32([2], 1, 2), indices: int64([1], 0), dims: [4] },
      /expected \[2\] or \[2, 1\], got \[1\]/,
    ],
    ["another rank", { values: float32([1], 1), indices: int64([1, 3], 0, 0, 0), dims: [2, 2] }, /got \[1, 3\]/],
    ["outside", { values: float32([1], 1), indices: int64([1], 4), dims: [2, 2] }, /within 0 to 3, got 4/],
    ["negative", { values: float32([1], 1), indices: int64([1], -1), dims: [4] }, /within 0 to 3, got -1/],
    ["on an axis", { values: float32([1], 1), indices: int64([1, 2], 0, 2), dims: [2, 2] }, /on axis 1 within 0 to 1/],
    ["falling", { values: float32([2], 1, 2), indices: int64([2], 3, 1), dims: [4] }, /value 1 one before it/],
    ["twice", { values: float32([2], 1, 2), indices: int64([2, 2], 0, 1, 0, 1), dims: [2, 2] }, /the same as the one/],
    ["terabytes", { values: float32([0]), dims: [2 ** 24, 2 ** 24] }, /at most 2147483647 bytes when dense/],
    [
      "positions of another type",
      { values: float32([1], 1), indices: { dims: [1], dataType: 6, rawData: new Uint8Array(4) }, dims: [4] },
      /expected int64, got int32/,
    ],
  ])("%s", (_, proto, message) => {
    expect(() => tensorFromSparseProto(proto)).toThrow(message);
  });
});

describe("any type and any place", () => {
  const types = (Object.keys(DTYPES) as DType[]).filter((dtype) => dtype !== "string");

  it.each(types)("%s: dense again as it was, seeded", (dtype) => {
    const { bits } = DTYPES[dtype];
    const random = createRandom(11);
    const dims = [5, 8];
    const bytes = new Uint8Array((40 * bits) / 8);
    // Whole groups of 8 elements are zero or full: that is so for every width.
    for (let group = 0; group < 5; group++) {
      for (let byte = 0; byte < bits && random.next() < 0.9; byte++) {
        bytes[group * bits + byte] = 1 + Math.floor(127 * random.next());
      }
    }
    const tensor = new Tensor(dtype, dims, { byteLength: bytes.length, bytes: () => bytes });
    const sparse = toSparse(tensor);
    if (bits % 8 !== 0) {
      expect(sparse).toBeUndefined();
      return;
    }
    expect([...sparse!.bytes()]).toEqual([...bytes]);
    expect(isStoredSparse(toDense(sparse!))).toBe(false);
  });

  it("types of less than a byte are read", () => {
    // int4 [3, 3] with 7 at 2 and −1 at 7: elements from the low bits up
    const values = { dims: [2], dataType: DTYPES.int4.code, rawData: Uint8Array.of(0xf7) };
    const tensor = tensorFromSparseProto({ values, indices: int64([2], 2, 7), dims: [3, 3] });
    expect([...tensor.bytes()]).toEqual([0, 0x07, 0, 0xf0, 0]);
  });

  it("strings are read", () => {
    const values = { dims: [1], dataType: 8, stringData: [Uint8Array.of(97)] };
    const tensor = tensorFromSparseProto({ values, indices: int64([1, 2], 1, 0), dims: [2, 2] });
    expect(toDense(tensor).strings).toEqual(["", "", "a", ""]);
  });

  it("−0 is zero, and what is left is not", () => {
    const tensor = Tensor.float32([4], [-0, 1e-45, 0, Number.NaN]);
    const sparse = toSparse(tensor)!;
    expect((sparse.source as { proto?: SparseTensorProto }).proto?.values?.dims).toEqual([2]);
    expect([...sparse.floats()]).toEqual([0, Math.fround(1e-45), 0, Number.NaN]);
  });

  it("a reshaped tensor keeps its contents, whichever form its positions have", () => {
    const values = float32([2], 5, 6);
    for (const indices of [int64([2], 1, 5), int64([2, 2], 0, 1, 1, 2)]) {
      const tensor = tensorFromSparseProto({ values, indices, dims: [2, 3] });
      const proto = tensorToSparseProto(new Tensor(tensor.dtype, [3, 2], tensor.source), "v");
      expect([proto.dims, proto.values?.name]).toEqual([[3, 2], "v"]);
      expect([...tensorFromSparseProto(proto).floats()]).toEqual([0, 5, 0, 0, 0, 6]);
    }
  });

  it("contents in another file are read from it and come into the message", () => {
    const part = (proto: TensorProto, offset: number): TensorProto => {
      const { rawData, ...rest } = proto;
      const externalData = [
        { key: "location", value: "d" },
        { key: "offset", value: String(offset) },
      ];
      return { ...rest, dataLocation: 1, externalData };
    };
    const [values, indices] = [float32([1], 5), int64([1], 2)];
    const file = Uint8Array.of(...(values.rawData as Uint8Array), ...(indices.rawData as Uint8Array));
    const proto = { values: part(values, 0), indices: part(indices, 4), dims: [3] };
    expect(externalLocations({ graph: { sparseInitializer: [proto] } })).toEqual(["d"]);
    const tensor = tensorFromSparseProto(proto, externalDataFromMemory({ d: file }));
    const written = tensorToSparseProto(tensor, "w");
    expect([...tensorFromSparseProto(written).floats()]).toEqual([0, 0, 5]);
  });

  it("unknown fields stay", () => {
    const unknown = [Uint8Array.of(0xa2, 0x06, 1, 7)]; // field 100
    const proto = { values: float32([1], 5), indices: int64([1], 2), dims: [3], unknown };
    const tensor = tensorFromSparseProto(proto);
    expect(tensorToSparseProto(tensor, "w")).toEqual(proto);
  });

  it("what a tensor takes in a file", () => {
    const tensor = Tensor.float32([1000], new Float32Array(1000).fill(1, 0, 100));
    expect(storedByteLength(tensor)).toBe(4000);
    // 100 values of 4 bytes, 100 positions of 1, and some for dimensions and types
    expect(storedByteLength(toSparse(tensor)!)).toBeGreaterThan(500);
    expect(storedByteLength(toSparse(tensor)!)).toBeLessThan(530);
  });
});

describe("within a model", () => {
  it("a new tensor in its place is dense; the text has none of the form", () => {
    const model = sparseModel();
    for (const value of model.graph.initializers) {
      if (value.name === "z") value.initializer = Tensor.float32([4], [1, 0, 0, 0]);
    }
    const { initializer, sparseInitializer } = decodeModel(bytesOf(model)).graph!;
    expect(initializer?.map(({ name }) => name)).toEqual(["v", "z"]);
    expect(sparseInitializer?.map(({ values }) => values?.name)).toEqual(["w", "q"]);
    expect(printModel(decodeModel(bytesOf(model)))).toMatch(/int8\[2, ?3\] q = \{0, ?-5, ?0, ?0, ?0, ?7\}/);
  });

  it("in a branch, too", async () => {
    const model = modelOf(`(bool c, float[2] x) => (float[2] y)
      { y = If(c) <then_branch = a () => (float[2] t) <float[2] w = {0, 3}> { t = Add(x, w) },
                   else_branch = b () => (float[2] e) { e = Identity(x) }> }`);
    for (const graph of model.graphs()) {
      for (const value of graph.initializers) value.initializer = toSparse(value.initializer!)!;
    }
    const feed = { c: Tensor.of("bool", [], Uint8Array.of(1)), x: Tensor.float32([2], [1, 1]) };
    for (const runtime of [await runtimes.node(), await runtimes.web()]) {
      const [result] = await runAll(runtime, bytesOf(reload(model)), [feed]);
      expect([...result!.y!.floats()]).toEqual([1, 4]);
    }
  });
});
