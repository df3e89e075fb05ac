import { describe, expect, it } from "vitest";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { FormatError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { decodeModel } from "./decode.ts";
import { encodeModel, joinChunks } from "./encode.ts";
import { ATTRIBUTE_TYPE, type AttributeProto, type TensorProto } from "./messages.ts";
import { tensorFromProto } from "./tensor-proto.ts";
import { parseGraph, parseModel, printModel } from "./text.ts";
import { dtypeToText } from "./text-tensor.ts";
import { decodeString } from "./wire.ts";

const EVERYTHING = `
< ir_version: 10, opset_import: [ "" : 21, "com.microsoft": 1 ], producer_name: "x", metadata_props: ["a":"b"] >
g (float[N, 3] x, float[2] d = {1, 2}, float[] any, float s, seq(float[2]) q, optional(seq(int64)) p,
   map(int64, string[?]) m, sparse_tensor(float[3]) sp, opaque(a.b, c) o) => (float[N,?] "y 1")
<float[2] w = {1, 2.5}, string[2] st={"a","b\\"c"}, float[2] ext = ["location":"w.bin", "offset":"0"],
 float[N] mid, float[0] e = {}>
{
  # a comment
  [n1] "y 1" = Conv<pads=[1,1], alpha=1.0, s="hi", ss=["a","b"], fl=[1.5,2.0], t=float[2] {1,2}, t2: tensor = int64 z = {-3},
       e: ints=[], tp: type_proto=float[N], big=-9223372036854775808, n = nan, i = -inf>(x, , w,)
   = Foo(x)
  a, , b = com.microsoft.MatMulNBits <bits = 4>(x)
  z = If (c) <then_branch = g1 () => (float[N] y) { y = Identity(x) },
       else_branch: graph = "g-2"() => (float[N] y) <float[1] zz = {1}> {y = Identity(x)}>
  k = Foo:over(x) <alpha: float=1, beta: floats = [1, 2]>
}
<domain: "loc", opset_import: ["": 21], doc_string: "doc">
f <a, b: int = 3, c> (x, float[1] y) => (z) <float[2] m> { z = Add<k=@a, l: floats = @b>(x, y) }
`;

describe("parseModel", () => {
  const model = parseModel(EVERYTHING);
  const nodes = model.graph!.node!;
  const attributes = new Map(nodes[0]!.attribute!.map((attribute) => [attribute.name, attribute]));
  const attribute = (name: string): AttributeProto => attributes.get(name)!;

  it("reads the header", () => {
    expect(model).toMatchObject({
      irVersion: 10,
      opsetImport: [{ version: 21 }, { domain: "com.microsoft", version: 1 }],
      producerName: "x",
      metadataProps: [{ key: "a", value: "b" }],
    });
  });

  it("reads types", () => {
    expect(model.graph!.input!.map((info) => [info.name, info.type])).toEqual([
      ["x", { tensorType: { elemType: 1, shape: { dim: [{ dimParam: "N" }, { dimValue: 3 }] } } }],
      ["d", { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 2 }] } } }],
      ["any", { tensorType: { elemType: 1 } }],
      ["s", { tensorType: { elemType: 1, shape: {} } }],
      ["q", { sequenceType: { elemType: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 2 }] } } } } }],
      ["p", { optionalType: { elemType: { sequenceType: { elemType: { tensorType: { elemType: 7, shape: {} } } } } } }],
      ["m", { mapType: { keyType: 7, valueType: { tensorType: { elemType: 8, shape: { dim: [{}] } } } } }],
      ["sp", { sparseTensorType: { elemType: 1, shape: { dim: [{ dimValue: 3 }] } } }],
      ["o", { opaqueType: { domain: "a.b", name: "c" } }],
    ]);
    expect(model.graph!.output![0]!.name).toBe("y 1");
    expect(model.graph!.valueInfo!.map((info) => info.name)).toEqual(["mid"]);
  });

  it("reads initializers: defaults of inputs, contents, external data", () => {
    const initializers = model.graph!.initializer!;
    expect(initializers.map((tensor) => tensor.name)).toEqual(["d", "w", "st", "ext", "e"]);
    expect(tensorFromProto(initializers[1]!).numbers()).toEqual([1, 2.5]);
    expect(tensorFromProto(initializers[2]!).strings).toEqual(["a", 'b"c']);
    expect(initializers[3]).toEqual({
      dims: [2],
      dataType: 1,
      name: "ext",
      dataLocation: 1,
      externalData: [
        { key: "location", value: "w.bin" },
        { key: "offset", value: "0" },
      ],
    });
    expect(initializers[4]!.dims).toEqual([0]);
  });

  it("reads nodes: left out inputs and outputs, domains, overloads, labels", () => {
    expect(nodes.map((n) => [n.name, n.output ?? [], n.domain, n.opType, n.overload, n.input ?? []])).toEqual([
      ["n1", ["y 1"], undefined, "Conv", undefined, ["x", "", "w"]],
      [undefined, [], undefined, "Foo", undefined, ["x"]],
      [undefined, ["a", "", "b"], "com.microsoft", "MatMulNBits", undefined, ["x"]],
      [undefined, ["z"], undefined, "If", undefined, ["c"]],
      [undefined, ["k"], undefined, "Foo", "over", ["x"]],
    ]);
  });

  it("reads attributes of every kind", () => {
    expect(attribute("pads")).toEqual({ name: "pads", type: ATTRIBUTE_TYPE.ints, ints: [1n, 1n] });
    expect(attribute("alpha")).toEqual({ name: "alpha", type: ATTRIBUTE_TYPE.float, f: 1 });
    expect(decodeString(attribute("s").s!)).toBe("hi");
    expect(attribute("ss").strings!.map(decodeString)).toEqual(["a", "b"]);
    expect(attribute("fl").floats).toEqual([1.5, 2]);
    expect(tensorFromProto(attribute("t").t!).numbers()).toEqual([1, 2]);
    expect(attribute("t2").t).toMatchObject({ name: "z", dataType: DTYPES.int64.code });
    expect(attribute("e")).toEqual({ name: "e", type: ATTRIBUTE_TYPE.ints });
    expect(attribute("tp").tp!.tensorType!.elemType).toBe(1);
    expect(attribute("big").i).toBe(-(2n ** 63n));
    expect([attribute("n").f, attribute("i").f]).toEqual([Number.NaN, Number.NEGATIVE_INFINITY]);
    expect(nodes[3]!.attribute!.map(({ name, g }) => [name, g!.name, g!.node!.length])).toEqual([
      ["then_branch", "g1", 1],
      ["else_branch", "g-2", 1],
    ]);
    expect(nodes[4]!.attribute).toEqual([
      { name: "alpha", type: ATTRIBUTE_TYPE.float, f: 1 },
      { name: "beta", type: ATTRIBUTE_TYPE.floats, floats: [1, 2] },
    ]);
  });

  it("reads functions", () => {
    const [fn] = model.functions!;
    expect(fn).toMatchObject({ name: "f", domain: "loc", input: ["x", "y"], output: ["z"], attribute: ["a", "c"] });
    expect(fn!.attributeProto).toEqual([{ name: "b", type: ATTRIBUTE_TYPE.int, i: 3n }]);
    expect(fn!.valueInfo!.map((info) => info.name)).toEqual(["y", "m"]);
    expect(fn!.node![0]!.attribute).toEqual([
      { name: "k", refAttrName: "a" },
      { name: "l", type: ATTRIBUTE_TYPE.floats, refAttrName: "b" },
    ]);
  });

  it("reads what printModel writes, and what the codec keeps", () => {
    expect(parseModel(printModel(model))).toEqual(model);
    expect(decodeModel(joinChunks(encodeModel(model)))).toEqual(model);
  });
});

function contents(text: string): TensorProto {
  return parseGraph(`g () => () <${text}> {}`).initializer![0]!;
}

/** Literals and the bytes that they become. */
const CONTENTS: readonly (readonly [DType, string, readonly number[]])[] = [
  ["float32", "1, -2.5", [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]],
  ["float64", "1.0", [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
  ["float16", "15360, 2", [0x00, 0x3c, 2, 0]],
  ["float16", "1.0, -2.0, inf", [0x00, 0x3c, 0x00, 0xc0, 0x00, 0x7c]],
  ["bfloat16", "1.0", [0x80, 0x3f]],
  ["float8e4m3fn", "56, 200", [56, 200]],
  ["float8e4m3fnuz", "1", [1]],
  ["float8e5m2", "255", [255]],
  ["float8e5m2fnuz", "2", [2]],
  ["float8e8m0", "127", [127]],
  ["float6e2m3", "1, 2, 3, 4, 63", [0x81, 0x30, 0x10, 0x3f]],
  ["float6e3m2", "63", [0x3f]],
  ["float4e2m1", "1, 15, 2", [0xf1, 0x02]],
  ["int4", "1, -2, 7", [0xe1, 0x07]],
  ["uint4", "1, 15", [0xf1]],
  ["int2", "1, -2, 0, -1, 1", [0b11001001, 0b01]],
  ["uint2", "1, 2, 3, 0, 1", [0b00111001, 0b01]],
  ["int8", "-128, 127", [0x80, 0x7f]],
  ["uint8", "255", [255]],
  ["int16", "-2", [0xfe, 0xff]],
  ["uint16", "65535", [0xff, 0xff]],
  ["int32", "-1", [0xff, 0xff, 0xff, 0xff]],
  ["uint32", "4294967295", [0xff, 0xff, 0xff, 0xff]],
  ["int64", "-9223372036854775808", [0, 0, 0, 0, 0, 0, 0, 0x80]],
  ["uint64", "18446744073709551615", [255, 255, 255, 255, 255, 255, 255, 255]],
  ["bool", "1, 0", [1, 0]],
  ["complex64", "1.0, -1.0", [0, 0, 0x80, 0x3f, 0, 0, 0x80, 0xbf]],
  ["complex128", "1.0, 0.0", [0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0]],
];

describe("tensor contents", () => {
  it.each(CONTENTS)("%s {%s}", (dtype, literals, bytes) => {
    const count = literals.split(",").length / (DTYPES[dtype].kind === "complex" ? 2 : 1);
    const tensor = contents(`${dtypeToText(dtype)}[${count}] w = {${literals}}`);
    expect([...(tensor.rawData as Uint8Array)]).toEqual(bytes);
    const model = { irVersion: 10, graph: { name: "g", initializer: [tensor] } };
    expect(parseModel(printModel(model))).toEqual(model);
  });

  it("covers every type", () => {
    expect(new Set([...CONTENTS.map(([dtype]) => dtype), "string"])).toEqual(new Set(Object.keys(DTYPES)));
  });

  it("random(seed) is our generator's normal times 0.1", () => {
    const random = createRandom(7);
    const expected = Float32Array.from({ length: 6 }, () => random.normal() * 0.1);
    expect(tensorFromProto(contents("float[2, 3] w = random(7)")).data()).toEqual(expected);
    const half = tensorFromProto(contents("float16[6] w = random(7)"));
    half.numbers().forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 3);
    });
  });

  it("scalars have one element", () => {
    expect(contents("int8 w = {3}")).toEqual({ dataType: 3, name: "w", rawData: Uint8Array.of(3) });
  });
});

describe("errors", () => {
  it.each([
    ["", "line 1, column 1", "name of a graph"],
    ["g (float x) -> (float y) {}", "line 1, column 13", '"=>"'],
    ["g () => () {\n  y = Relu(x\n}", "line 3, column 1", '"\\)"'],
    ["g () => () {\n  y = Relu(x)", "line 2, column 14", "operator|output|end of the text"],
    ["g () => () <float[2] w = {1}> {}", "line 1, column 26", "expected 2 numbers"],
    ["g () => () <float[N] w = {1}> {}", "column 25", "numbers as dimensions"],
    ["g () => () <int8[1] w = {128}> {}", "column 26", "-128 to 127"],
    ["g () => () <int8[1] w = {1.5}> {}", "column 26", "whole number"],
    ["g () => () <float16[2] w = {1, 1.0}> {}", "column 29", "got both"],
    ["g () => () <int8[2] w = random(1)> {}", "column 25", "float type"],
    ["g () => () <int8[2] w = {...}> {}", "column 26", "a number or a string"],
    ["g () => () <string[1] w = {1}> {}", "column 28", "a string"],
    ['g () => () <float[1] w = {"a"}> {}', "column 27", "a number"],
    ["g () => () <float[99999999999] w = random(1)> {}", "line 1", "at most"],
    ['g () => () { y = "Relu"(x) }', "column 18", "operator"],
    ["g () => () { y = A<a = []>(x) }", "line 1", "declared type"],
    ["g () => () { y = A<a: ints = [1, 2.5]>(x) }", "line 1", "one type"],
    ["g () => () { y = A<a: int = [1]>(x) }", "line 1", "list"],
    ["g () => () { y = A<a: int = 1.5>(x) }", "line 1", "declared type"],
    ["g () => () { y = A<a: nothing = 1>(x) }", "line 1", "one of float"],
    ['g () => () { y = A<a = "b>(x) }', "column 24", "closing quote"],
    ["<ir_versio: 8> g () => () {}", "column 2", "one of ir_version"],
    ["<ir_version: 1.5> g () => () {}", "column 14", "IR version"],
  ])("%j", (text, where, what) => {
    let error: unknown;
    try {
      parseModel(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toContain(where);
    expect((error as FormatError).message).toMatch(new RegExp(what));
  });

  it("nesting is bounded", () => {
    expect(() => parseModel(`g (${"seq(".repeat(10_000)}`)).toThrow(/nested types/);
    expect(() => parseModel("g () => () { = A<g = ".repeat(10_000))).toThrow(/nested graphs/);
  });

  it("parseGraph wants nothing behind the graph", () => {
    expect(() => parseGraph("g () => () {} more")).toThrow(/end of the text/);
  });
});

describe("printModel", () => {
  it("abbreviates large tensors", () => {
    const model = parseModel(
      '<ir_version: 8, opset_import: ["": 17]> g () => (float[65] w) <float[65] w = random(1)> {}',
    );
    expect(printModel(model)).toBe(
      '<ir_version: 8, opset_import: ["": 17]>\ng () => (float[65] w)\n<\n  float[65] w = {...}\n>\n{\n}\n',
    );
    expect(parseModel(printModel(model, { maxElements: 65 }))).toEqual(model);
  });
});
