import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { differences, modelWithGraph, sameModel, scalar, span, varint } from "../../test/oracle.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import { FormatError, TersorError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { decodeModel, decodeTensor } from "./decode.ts";
import { encodeModel, encodeTensor, joinChunks } from "./encode.ts";
import { MAX_DEPTH, MAX_IR_VERSION, MAX_MESSAGES } from "./limits.ts";
import type { GraphProto, ModelProto } from "./messages.ts";
import { parseModel } from "./text.ts";

const MODELS: Readonly<Record<string, string>> = {
  small: `<ir_version: 8, opset_import: ["" : 17, "com.microsoft": 1], producer_name: "pytorch", producer_version: "2.1",
      domain: "d", model_version: 3, doc_string: "näh", metadata_props: ["a": "b", "c": ""]>
    main (float[N, 3, 4] x, float[2] w = {1, 2}) => (float[N] y)
    <float[2, 2] v = {1, 2, -3, 0.1}, int64[3] i = {-1, 9223372036854775807, 0}, string[2] s = {"a", "ü"}, float[N] mid>
    {
      [first] mid = Conv <pads = [1, -1], alpha = 0.5, mode = "same", names = ["a", "b"], fl = [1.5, -inf],
                          t = int8[3] {1, -2, 3}, tp = seq(float[N, ?])> (x, , w)
      y, , z = com.microsoft.FusedMatMul:v2 (mid, v)
    }
    <domain: "local", opset_import: ["" : 17]> f <a, b: int = 1> (x) => (y) { y = Relu <c = @a> (x) }`,
  subgraphs: `<ir_version: 8, opset_import: ["" : 17]>
    main (bool c, map(int64, float) m, optional(seq(string[1])) o, sparse_tensor(float[2]) p) => (float[1] y)
    <float[1] k = {1}>
    { y = If (c) <then_branch = a () => (float[1] r) <float[1] k2 = {2}> { r = Add(k, k2) },
                  else_branch = b () => (float[1] r) { r = Loop (c, c, k) <body = d (int64 i, bool e, float[1] s) => (bool e2, float[1] s2)
                    { e2 = Identity(e) s2 = Identity(s) }> }> }`,
  types: `<ir_version: 11, opset_import: ["" : 21]> g () => (int4[3] a)
    <int4[3] a = {1, -2, 3}, uint4[1] b = {15}, float16[2] c = {1.0, -2.0}, bfloat16[1] d = {0.5}, double[1] e = {0.1},
     uint64[1] f = {18446744073709551615}, bool[2] g = {1, 0}, complex64[1] h = {1, 2}, float8e4m3fn[2] i = {1, 2}> {}`,
};

function bytesOf(model: ModelProto): Uint8Array {
  return joinChunks(encodeModel(model));
}

const SMALL = bytesOf(parseModel(MODELS.small!));

describe("against protobuf-es", () => {
  it.each(Object.keys(MODELS))("%s: the same content, and written back the same", (name) => {
    const bytes = bytesOf(parseModel(MODELS[name]!));
    expect(differences(decodeModel(bytes), bytes)).toEqual([]);
    const again = bytesOf(decodeModel(bytes));
    expect(sameModel(bytes, again)).toBe(true);
    expect(Buffer.from(again).equals(bytes)).toBe(true);
  });

  it("real models", () => {
    const require = createRequire(import.meta.url);
    const folder = join(dirname(require.resolve("@ricky0123/vad-web/package.json")), "dist");
    for (const name of ["silero_vad_legacy.onnx", "silero_vad_v5.onnx"]) {
      const bytes = readFileSync(join(folder, name));
      const model = decodeModel(bytes);
      expect(differences(model, bytes)).toEqual([]);
      expect(sameModel(bytes, bytesOf(model))).toBe(true);
    }
  });
});

/** The graph of a model whose graph has these bytes. */
function graphOf(...bytes: readonly number[]): GraphProto {
  const model = modelWithGraph(bytes);
  const decoded = decodeModel(model);
  expect(sameModel(model, bytesOf(decoded))).toBe(true);
  return decoded.graph!;
}

const node = (...bytes: readonly number[]): number[] => span(1, [...span(4, "Op"), ...bytes]);
const attribute = (...bytes: readonly number[]): number[] => node(...span(5, [...span(1, "a"), ...bytes]));

describe("repeated scalars, packed or not", () => {
  it.each([
    ["unpacked", [...scalar(8, 3), ...scalar(8, -1), ...scalar(8, 300)]],
    ["packed", span(8, [3, ...varint(-1), ...varint(300)])],
    ["both", [...scalar(8, 3), ...span(8, [...varint(-1), ...varint(300)])]],
    ["packed in pieces", [...span(8, [3]), ...span(8, []), ...span(8, [...varint(-1), ...varint(300)])]],
  ])("ints %s", (_, bytes) => {
    expect(graphOf(...attribute(...bytes)).node![0]!.attribute![0]!.ints).toEqual([3n, -1n, 300n]);
  });

  it.each([
    ["unpacked", [7 * 8 + 5, 0, 0, 0x80, 0x3f, 7 * 8 + 5, 0, 0, 0, 0x40]],
    ["packed", span(7, [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40])],
  ])("floats %s", (_, bytes) => {
    expect(graphOf(...attribute(...bytes)).node![0]!.attribute![0]!.floats).toEqual([1, 2]);
  });

  it.each([
    ["int32_data", [...scalar(5, 1), ...scalar(5, -2)], span(5, [1, ...varint(-2)])],
    ["float_data", [4 * 8 + 5, 1, 2, 3, 4, ...span(4, [5, 6, 7, 8])], span(4, [1, 2, 3, 4, 5, 6, 7, 8])],
    ["double_data", [10 * 8 + 1, 1, 2, 3, 4, 5, 6, 7, 8], span(10, [1, 2, 3, 4, 5, 6, 7, 8])],
  ])("%s", (_, unpacked, packed) => {
    const tensor = (bytes: readonly number[]): number[] => span(5, [...scalar(2, 1), ...bytes]);
    const [a, b] = graphOf(...tensor(unpacked), ...tensor(packed)).initializer!;
    expect(a).toEqual(b);
  });

  it("many unpacked elements take linear time", () => {
    const count = 300_000;
    const bytes = new Uint8Array(count * 2);
    for (let i = 0; i < count; i++) bytes.set([7 * 8, i & 127], i * 2);
    const tensor = decodeTensor(bytes);
    expect(tensor.int64Data!.byteLength).toBe(count);
    expect(tensor.int64Data![200]).toBe(200 & 127);
  });

  it("a packed list of nothing is no field", () => {
    expect(graphOf(...attribute(...span(8, []))).node![0]!.attribute![0]).toEqual({ name: "a" });
  });

  it("repeated fields between other fields keep their order", () => {
    const { node: nodes } = graphOf(...node(...span(1, "a"), ...span(2, "x"), ...span(1, "b"), ...span(2, "y")));
    expect(nodes![0]).toMatchObject({ input: ["a", "b"], output: ["x", "y"] });
  });
});

describe("fields", () => {
  it("unknown ones are kept byte for byte, with every wire type", () => {
    const unknown = [
      ...scalar(99, 5),
      ...span(500, "text"),
      ...varint(98 * 8 + 1),
      ...[1, 2, 3, 4, 5, 6, 7, 8],
      ...varint(97 * 8 + 5),
      ...[1, 2, 3, 4],
      ...varint(96 * 8 + 3),
      ...scalar(1, 1),
      ...varint(96 * 8 + 4),
    ];
    const graph = graphOf(...unknown, ...node(...unknown));
    for (const message of [graph, graph.node![0]!])
      expect(message.unknown!.flatMap((part) => [...part])).toEqual(unknown);
    const model = modelWithGraph([...unknown, ...node(...unknown)]);
    const again = decodeModel(bytesOf(decodeModel(model))).graph!;
    expect(again.unknown!.flatMap((part) => [...part])).toEqual(unknown);
  });

  it("known numbers with another wire type are kept as unknown", () => {
    // protobuf-es reads them as if they had the right one: no judge here.
    const graph = decodeModel(modelWithGraph(scalar(2, 7))).graph!;
    expect(graph.name).toBe("g");
    expect([...graph.unknown![0]!]).toEqual(scalar(2, 7));
  });

  it("strings that are not UTF-8 are written back as they were", () => {
    const model = modelWithGraph(span(10, [0xb2, 0xe2, 0xca, 0xd4]));
    expect(Buffer.from(bytesOf(decodeModel(model))).equals(Buffer.from(model))).toBe(true);
  });

  it("later occurrences of a singular message are merged, of a singular value replace", () => {
    const type = (...bytes: readonly number[]): number[] => span(2, bytes);
    const tensorType = (...bytes: readonly number[]): number[] => span(1, bytes);
    const dim = (value: number): number[] => span(2, span(1, scalar(1, value)));
    const graph = graphOf(
      ...span(11, [
        ...span(1, "first"),
        ...span(1, "x"),
        ...type(...tensorType(...scalar(1, 1), ...dim(2))),
        ...type(...tensorType(...dim(3)), ...span(6, "IMAGE")),
      ]),
    );
    expect(graph.input).toEqual([
      {
        name: "x",
        type: {
          tensorType: { elemType: 1, shape: { dim: [{ dimValue: 2 }, { dimValue: 3 }] } },
          denotation: "IMAGE",
        },
      },
    ]);
    const twice = Uint8Array.from([...SMALL, ...SMALL]);
    expect(sameModel(twice, bytesOf(decodeModel(twice)))).toBe(true);
  });

  it("equal attributes and types become one frozen object, others stay apart", () => {
    const same = span(5, [...span(1, "a"), ...scalar(3, 7), ...scalar(20, 2)]);
    const other = span(5, [...span(1, "a"), ...scalar(3, 8), ...scalar(20, 2)]);
    const attributes = graphOf(...node(...same), ...node(...same), ...node(...other)).node!.map(
      (n) => n.attribute![0]!,
    );
    expect(attributes[1]).toBe(attributes[0]);
    expect(Object.isFrozen(attributes[0])).toBe(true);
    expect(attributes.map((a) => a.i)).toEqual([7n, 7n, 8n]);
    const tensor = span(5, [...span(1, "a"), ...span(5, scalar(2, 1)), ...scalar(20, 4)]);
    const [first, second] = graphOf(...node(...tensor), ...node(...tensor)).node!.map((n) => n.attribute![0]!.t);
    expect(first).toEqual(second);
    expect(first).not.toBe(second);
  });
});

describe("refused with a FormatError", () => {
  it.each([
    ["an empty file", [], /empty file/],
    ["a zip archive", [0x50, 0x4b, 3, 4], /zip archive/],
    ["a model without graph", scalar(1, 8), /expected a graph/],
    ["something else", scalar(99, 1), /neither/],
    ["a newer IR version", [...scalar(1, MAX_IR_VERSION + 1), ...span(7, [])], /IR version/],
    ["field number 0", [0, 0], /field number/],
    ["a huge field number", [...varint(2n ** 40n), 1], /field number/],
    ["wire type 7", [15, 0], /wire type/],
    ["a length beyond the end", [...scalar(1, 8), 7 * 8 + 2, 100], /at most 0 more bytes/],
    ["a length of 2^63", [7 * 8 + 2, ...varint(2n ** 63n)], /length of/],
    [
      "a length beyond the message around it",
      [...span(7, [1 * 8 + 2, 5, 0]), ...span(2, "enough bytes")],
      /more bytes/,
    ],
    ["an unclosed group", varint(96 * 8 + 3), /wire type|end of the data/],
  ])("%s", (_, bytes, message) => {
    expect(() => decodeModel(Uint8Array.from(bytes))).toThrow(FormatError);
    expect(() => decodeModel(Uint8Array.from(bytes))).toThrow(message);
  });

  it("a bomb of nested graphs, of groups, of types", () => {
    // Lengths need not be right: nesting is refused before the end is reached.
    const nested = (levels: number, tags: readonly number[]): Uint8Array => {
      let bytes: number[] = [];
      for (let i = 0; i < levels; i++) for (const tag of tags.toReversed()) bytes = span(tag, bytes);
      return Uint8Array.from([...scalar(1, 8), ...span(7, bytes)]);
    };
    expect(() => decodeModel(nested(MAX_DEPTH, [1, 5, 6]))).toThrow(/nested messages/);
    expect(() => decodeModel(nested(20, [1, 5, 6]))).not.toThrow();
    const groups = new Uint8Array(1e6).fill(96 + 3); // field 12, start of group
    expect(() => decodeModel(groups)).toThrow(FormatError);
  });

  it("more messages than a model can have", () => {
    const count = MAX_MESSAGES + 1;
    const head = [...scalar(1, 8), 7 * 8 + 2, ...varint(count * 2)];
    const bytes = new Uint8Array(head.length + count * 2);
    bytes.set(head);
    for (let i = head.length; i < bytes.length; i += 2) bytes[i] = 1 * 8 + 2; // empty nodes
    expect(() => decodeModel(bytes)).toThrow(/at most .* messages/);
  });
});

/** Decodes damaged bytes and everything behind: only our own errors may come out. */
function survives(bytes: Uint8Array): boolean {
  try {
    fromOnnx(decodeModel(bytes));
    return true;
  } catch (error) {
    if (error instanceof TersorError) return false;
    throw error;
  }
}

describe("damage", () => {
  const require = createRequire(import.meta.url);
  const folder = join(dirname(require.resolve("@ricky0123/vad-web/package.json")), "dist");
  const real = readFileSync(join(folder, "silero_vad_v5.onnx"));

  it("a real model cut off anywhere gives a FormatError", () => {
    const random = createRandom(3);
    const cuts = Array.from({ length: 2000 }, (_, i) => i);
    for (let i = 0; i < 300; i++) cuts.push(random.integer(real.byteLength));
    for (const cut of cuts) {
      let error: unknown;
      try {
        decodeModel(real.subarray(0, cut));
      } catch (caught) {
        error = caught;
      }
      expect(error, `cut at ${cut}`).toBeInstanceOf(FormatError);
    }
  });

  it.each(Object.keys(MODELS))("%s with one changed byte decodes or gives an error of ours", (name) => {
    const bytes = bytesOf(parseModel(MODELS[name]!));
    const random = createRandom(1);
    let decoded = 0;
    for (let i = 0; i < 2000; i++) {
      const changed = bytes.slice();
      changed[random.integer(bytes.length)] = random.integer(256);
      if (survives(changed)) decoded++;
    }
    expect(decoded).toBeGreaterThan(100);
    expect(decoded).toBeLessThan(2000);
  });

  it("random bytes give an error of ours", () => {
    const random = createRandom(2);
    for (let i = 0; i < 2000; i++)
      survives(Uint8Array.from({ length: random.integer(200) }, () => random.integer(256)));
  });

  it("tensors survive damage too", () => {
    const tensor = joinChunks(encodeTensor(parseModel(MODELS.types!).graph!.initializer![0]!));
    const random = createRandom(4);
    for (let i = 0; i < 2000; i++) {
      const changed = tensor.slice();
      changed[random.integer(tensor.length)] = random.integer(256);
      try {
        decodeTensor(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(TersorError);
      }
    }
  });
});
