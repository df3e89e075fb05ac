/**
 * @file What every runtime adapter must do, as tests: {@link describeRuntime} runs them against one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModelFile } from "../../src/onnx/file-node.ts";
import { parseModel } from "../../src/onnx/text.ts";
import type { Runtime, Session, SessionOptions } from "../../src/runtime/runtime.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { bytesOf, Tensor, type TensorData } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { modelBytes } from "./models.ts";

/** Three values of each type that the adapters take, the extremes among them; 16-bit floats as bits. */
const VALUES: Readonly<Partial<Record<DType, readonly [text: string, data: TensorData]>>> = {
  float32: ["float", Float32Array.of(1.5, -0, 3.4028234663852886e38)],
  float64: ["double", Float64Array.of(1.5, 5e-324, -1.7976931348623157e308)],
  float16: ["float16", Uint16Array.of(0x3c00, 0x0001, 0xfbff)],
  int8: ["int8", Int8Array.of(0, -128, 127)],
  uint8: ["uint8", Uint8Array.of(0, 1, 255)],
  int16: ["int16", Int16Array.of(0, -32768, 32767)],
  uint16: ["uint16", Uint16Array.of(0, 1, 65535)],
  int32: ["int32", Int32Array.of(0, -(2 ** 31), 2 ** 31 - 1)],
  uint32: ["uint32", Uint32Array.of(0, 1, 2 ** 32 - 1)],
  int64: ["int64", BigInt64Array.of(0n, -(2n ** 63n), 2n ** 63n - 1n)],
  uint64: ["uint64", BigUint64Array.of(0n, 1n, 2n ** 64n - 1n)],
  bool: ["bool", Uint8Array.of(1, 0, 1)],
};

const ADD_ONE = "g (float[N, 2] x) => (float[N, 2] y) <float one = {1}> { y = Add(x, one) }";

/** K = 67: rows of odd length reach the kernels' remainder loops, where alignment matters. */
const MATMUL = "g (float[M, 67] x) => (float[M, 33] y) <float[67, 33] w = random(3)> { y = MatMul(x, w) }";

/** `create` is called once; `close` after the last test. */
export function describeRuntime(
  name: string,
  create: () => Promise<Runtime>,
  close: (runtime: Runtime) => Promise<void> = async () => {},
): void {
  describe(`${name}: conformance`, () => {
    let runtime: Runtime;
    const sessions: Session[] = [];
    const load = async (graph: string, options?: SessionOptions): Promise<Session> => {
      const session = await runtime.load({ bytes: modelBytes(graph) }, options);
      sessions.push(session);
      return session;
    };
    beforeAll(async () => {
      runtime = await create();
      // A browser takes seconds to start where much else runs.
    }, 60_000);
    afterAll(async () => {
      for (const session of sessions) await session.release().catch(() => {});
      await close(runtime);
    });

    it("tells its name and version", () => {
      expect(name).toContain(runtime.name);
      expect(runtime.version).toMatch(/^\d+\.\d+\.\d+/);
    });

    describe("ports", () => {
      it("have names, types and dimensions in the model's order", async () => {
        const { inputs, outputs } = await load(
          `g (float[N, 3, ?] z, int64 scalar, string[?, 2] a, float[] any) =>
             (float[N, 3, ?] y, int64 s, string[?, 2] b, float[] c)
           { y = Identity(z) s = Identity(scalar) b = Identity(a) c = Identity(any) }`,
        );
        expect(inputs).toEqual([
          { name: "z", dtype: "float32", shape: ["N", 3, null] },
          { name: "scalar", dtype: "int64", shape: [] },
          { name: "a", dtype: "string", shape: [null, 2] },
          { name: "any", dtype: "float32", shape: undefined },
        ]);
        expect(outputs).toEqual([
          { name: "y", dtype: "float32", shape: ["N", 3, null] },
          { name: "s", dtype: "int64", shape: [] },
          { name: "b", dtype: "string", shape: [null, 2] },
          { name: "c", dtype: "float32", shape: undefined },
        ]);
      });

      it("that are no tensors have no type", async () => {
        const { outputs } = await load("g (float[2] x) => (seq(float[2]) y) { y = SequenceConstruct(x) }");
        expect(outputs).toEqual([{ name: "y", dtype: undefined, shape: undefined }]);
      });

      it("leave out inputs with a default, which cannot be given", async () => {
        const session = await load("g (float[2] x, float[2] d = {1, 2}) => (float[2] y) { y = Add(x, d) }");
        expect(session.inputs.map((port) => port.name)).toEqual(["x"]);
        const { y } = await session.run({ x: Tensor.float32([2], [10, 20]) });
        expect(y!.numbers()).toEqual([11, 22]);
      });
    });

    describe("types", () => {
      it.each(Object.entries(VALUES))("takes and gives %s", async (dtype, [text, data]) => {
        const session = await load(`g (${text}[N] x) => (${text}[N] y) { y = Identity(x) }`);
        const { y } = await session.run({ x: Tensor.of(dtype as DType, [3], data) });
        expect(y).toMatchObject({ dtype, dims: [3], byteLength: data.byteLength });
        expect(y!.data().constructor).toBe(data.constructor);
        expect([...y!.bytes()]).toEqual([...bytesOf(data)]);
        const empty = await session.run({ x: Tensor.of(dtype as DType, [0], data.slice(0, 0)) });
        expect(empty["y"]).toMatchObject({ dtype, dims: [0], byteLength: 0 });
      });

      it("takes and gives strings", async () => {
        const session = await load("g (string[N] x) => (string[N] y) { y = Identity(x) }");
        const strings = ["", "plain", "zwölf € 😀"];
        const { y } = await session.run({ x: Tensor.strings([3], strings) });
        expect(y).toMatchObject({ dtype: "string", dims: [3], strings });
        const empty = await session.run({ x: Tensor.strings([0], []) });
        expect(empty["y"]).toMatchObject({ dtype: "string", dims: [0], strings: [] });
      });

      it("refuses what JavaScript's ONNX Runtime does not take", async () => {
        const session = await load("g (float[N] x) => (float[N] y) { y = Identity(x) }");
        const x = Tensor.of("bfloat16", [2], new Uint16Array(2));
        await expect(session.run({ x })).rejects.toThrow(/input "x": .*got bfloat16/);
      });

      it("takes scalars, and tensors without elements in any dimension", async () => {
        const session = await load(
          "g (float s, float[N, M] x) => (float t, float[N, M] y) { t = Neg(s) y = Mul(x, s) }",
        );
        const s = Tensor.scalar("float32", 2);
        const results = await session.run({ s, x: Tensor.float32([2, 0], []) });
        expect(results["t"]).toMatchObject({ dtype: "float32", dims: [] });
        expect(results["t"]!.numbers()).toEqual([-2]);
        expect(results["y"]).toMatchObject({ dims: [2, 0], byteLength: 0 });
        const other = await session.run({ s, x: Tensor.float32([0, 7], []) });
        expect(other["y"]!.dims).toEqual([0, 7]);
      });
    });

    describe("runs", () => {
      it("give the outputs that are asked for, in that order", async () => {
        const session = await load(
          "g (float[2] x) => (float[2] a, float[2] b, float[2] c) { a = Neg(x) b = Abs(x) c = Relu(x) }",
        );
        const x = Tensor.float32([2], [-1, 2]);
        expect(Object.keys(await session.run({ x }))).toEqual(["a", "b", "c"]);
        const some = await session.run({ x }, ["c", "a"]);
        expect(Object.keys(some)).toEqual(["c", "a"]);
        expect([some["c"]!.numbers(), some["a"]!.numbers()]).toEqual([
          [0, 2],
          [1, -2],
        ]);
        await expect(session.run({ x }, ["nope"])).rejects.toThrow(/nope/);
      });

      it("leave earlier outputs as they are, and feeds usable", async () => {
        const session = await load(
          "g (float[2] x) => (float[2] y, float[2] k) <float[2] c = {5, 6}> { y = Neg(x) k = Identity(c) }",
        );
        const x = Tensor.float32([2], [1, 2]);
        const first = await session.run({ x });
        await session.run({ x: Tensor.float32([2], [8, 9]) });
        expect(first["y"]!.numbers()).toEqual([-1, -2]);
        expect(x.numbers()).toEqual([1, 2]);
        // Outputs are the caller's own: what is done to them does not reach the session's constants.
        (first["k"]!.data() as Float32Array).fill(0);
        expect((await session.run({ x }))["k"]!.numbers()).toEqual([5, 6]);
      });

      it("outlive the session", async () => {
        const session = await load(ADD_ONE);
        const { y } = await session.run({ x: Tensor.float32([1, 2], [1, 2]) });
        await session.release();
        expect(y!.numbers()).toEqual([2, 3]);
      });

      it("do not depend on where a buffer starts", async () => {
        const session = await load(MATMUL);
        const random = createRandom(1);
        const values = Float32Array.from({ length: 5 * 67 }, () => random.normal());
        const expected = (await session.run({ x: Tensor.float32([5, 67], values) }))["y"]!.bytes().slice();
        for (const offset of [4, 8, 12, 20, 64]) {
          const buffer = new ArrayBuffer(values.byteLength + offset);
          const shifted = new Float32Array(buffer, offset, values.length);
          shifted.set(values);
          const { y } = await session.run({ x: Tensor.float32([5, 67], shifted) });
          expect(y!.bytes(), `offset ${offset}`).toEqual(expected);
          expect(buffer.byteLength).toBe(values.byteLength + offset);
        }
      });

      it("take the same tensor twice, and tensors that share a buffer", async () => {
        const session = await load("g (float[2] a, float[2] b) => (float[2] y) { y = Sub(a, b) }");
        const both = Float32Array.of(1, 2, 30, 40);
        const a = Tensor.float32([2], both.subarray(0, 2));
        const b = Tensor.float32([2], both.subarray(2));
        expect((await session.run({ a, b }))["y"]!.numbers()).toEqual([-29, -38]);
        expect((await session.run({ a, b: a }))["y"]!.numbers()).toEqual([0, 0]);
      });

      it.each<[string, Record<string, Tensor>, RegExp]>([
        ["a missing input", {}, /inputs: expected "x", got none/],
        ["a misspelt input", { X: Tensor.float32([1, 2], [1, 2]) }, /expected "x", got "X"/],
        [
          "an unknown input",
          { x: Tensor.float32([1, 2], [1, 2]), z: Tensor.scalar("float32", 1) },
          /expected "x", got "x", "z"/,
        ],
        ["another type", { x: Tensor.of("int32", [1, 2], Int32Array.of(1, 2)) }, /int32.*expected.*float/],
        ["another size", { x: Tensor.float32([1, 3], [1, 2, 3]) }, /invalid dimensions for input: x/],
        ["another rank", { x: Tensor.float32([2], [1, 2]) }, /Invalid rank for input: x/],
      ])("reject %s, and the session still works", async (_what, feeds, message) => {
        const session = await load(ADD_ONE);
        await expect(session.run(feeds)).rejects.toThrow(message);
        const { y } = await session.run({ x: Tensor.float32([1, 2], [1, 2]) });
        expect(y!.numbers()).toEqual([2, 3]);
      });

      it("reject errors inside the model, and the session still works", async () => {
        const session = await load("g (float[4] x, int64[N] s) => (float[M] y) { y = Reshape(x, s) }");
        const x = Tensor.float32([4], [1, 2, 3, 4]);
        await expect(session.run({ x, s: Tensor.int64([1], [3]) })).rejects.toThrow(/[Rr]eshape/);
        expect((await session.run({ x, s: Tensor.int64([2], [2, 2]) }))["y"]!.dims).toEqual([2, 2]);
      });
    });

    describe("sessions", () => {
      it.each<[string, () => Uint8Array, RegExp]>([
        ["garbage", () => new Uint8Array(100).fill(7), /protobuf/],
        ["nothing", () => new Uint8Array(0), /./],
        ["a cut file", () => modelBytes(MATMUL).slice(0, 300), /protobuf/],
        ["an unknown operator", () => modelBytes("g (float x) => (float y) { y = NoSuchOp(x) }"), /NoSuchOp/],
      ])("are refused for %s, with a message", async (_what, bytes, message) => {
        await expect(runtime.load({ bytes: bytes() })).rejects.toThrow(message);
        const session = await load(ADD_ONE);
        expect((await session.run({ x: Tensor.float32([0, 2], []) }))["y"]!.dims).toEqual([0, 2]);
      });

      it("take configuration, which reaches the runtime", async () => {
        const graph =
          "g (float[N, 2] x) => (float[N, 2] y) <uint8[2, 2] q = {1, 2, 3, 4}, float s = {0.5}> " +
          "{ w = DequantizeLinear(q, s) y = MatMul(x, w) }";
        const x = Tensor.float32([1, 2], [2, -1]);
        const plain = await load(graph, { graphOptimization: "disabled" });
        const unfolded = await load(graph, { threads: 1, config: { "session.disable_quant_qdq": "1" } });
        expect((await unfolded.run({ x }))["y"]!.numbers()).toEqual((await plain.run({ x }))["y"]!.numbers());
        await expect(load(ADD_ONE, { config: { "session.load_model_format": "ORT" } })).rejects.toThrow(/ORT/i);
        await expect(load(ADD_ONE, { config: { nodot: "1" } })).rejects.toThrow(/"nodot": expected the form/);
      });

      it("work side by side", async () => {
        const add = await load(ADD_ONE);
        const negate = await load("g (float[N, 2] x) => (float[N, 2] y) { y = Neg(x) }");
        const x = Tensor.float32([1, 2], [1, 2]);
        const results = await Promise.all([add.run({ x }), negate.run({ x }), add.run({ x })]);
        expect(results.map((result) => result["y"]!.numbers())).toEqual([
          [2, 3],
          [-1, -2],
          [2, 3],
        ]);
      });

      it("do not run once they are released", async () => {
        const session = await load(ADD_ONE);
        const other = await load(ADD_ONE);
        await session.release();
        const x = Tensor.float32([1, 2], [1, 2]);
        await expect(session.run({ x })).rejects.toThrow(/disposed|released|invalid session/);
        expect((await other.run({ x }))["y"]!.numbers()).toEqual([2, 3]);
      });

      it("load from bytes in several chunks, which stay usable", async () => {
        const bytes = modelBytes(MATMUL);
        const chunks = [bytes.subarray(0, 100), bytes.subarray(100, 101), bytes.subarray(101)];
        const session = await runtime.load({ bytes: chunks });
        sessions.push(session);
        expect(session.inputs[0]).toMatchObject({ name: "x", shape: ["M", 67] });
        expect(chunks.map((chunk) => chunk.byteLength)).toEqual([100, 1, bytes.length - 101]);
      });

      it("load from files, with external data beside them", async () => {
        const folder = mkdtempSync(join(tmpdir(), "tersor-runtime-"));
        try {
          const path = join(folder, "model.onnx");
          const proto = parseModel(`<ir_version: 8, opset_import: ["" : 17]> ${MATMUL}`);
          const files = writeModelFile(path, proto, { externalData: true });
          expect(files.length).toBe(2);
          const outside = await runtime.load({ path });
          sessions.push(outside);
          const inside = await load(MATMUL);
          const x = Tensor.float32([1, 67], new Float32Array(67).fill(1));
          expect((await outside.run({ x }))["y"]!.numbers()).toEqual((await inside.run({ x }))["y"]!.numbers());
          await expect(runtime.load({ path: join(folder, "other.onnx") })).rejects.toThrow(/other\.onnx/);
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
    });
  });
}
