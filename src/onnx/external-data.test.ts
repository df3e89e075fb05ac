import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, InputError } from "../util/errors.ts";
import { decodeModel } from "./decode.ts";
import { chunksLength, encodeModel, joinChunks } from "./encode.ts";
import { type ExternalData, externalDataFromMemory, externalize, withChecksums } from "./external-data.ts";
import type { ModelProto, StringStringEntryProto, TensorProto } from "./messages.ts";
import { type ProtoSource, tensorFromProto, tensorToProto } from "./tensor-proto.ts";
import { parseModel } from "./text.ts";

const entries = (values: Readonly<Record<string, string>>): StringStringEntryProto[] =>
  Object.entries(values).map(([key, value]) => ({ key, value }));

function reference(values: Readonly<Record<string, string>>): TensorProto {
  return { name: "w", dataType: 2, dims: [4], dataLocation: 1, externalData: entries(values) };
}

const FILE = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);

function external(files = { "w.bin": FILE }): ExternalData {
  return {
    ...externalDataFromMemory(files),
    sha1: (location) =>
      createHash("sha1")
        .update(files[location as "w.bin"])
        .digest("hex"),
  };
}

describe("references", () => {
  it.each([
    ["the whole file", { location: "w.bin" }, [0, 1, 2, 3]],
    ["an offset", { location: "w.bin", offset: "4" }, [4, 5, 6, 7]],
    ["offset and length", { location: "w.bin", offset: "2", length: "4" }, [2, 3, 4, 5]],
    ["keys nobody knows", { location: "w.bin", basepath: "x", owner: "y" }, [0, 1, 2, 3]],
  ])("%s", (_, values, bytes) => {
    const tensor = tensorFromProto(reference(values), external());
    expect([...tensor.bytes()]).toEqual(bytes);
    expect((tensor.source as ProtoSource).isExternal).toBe(true);
  });

  it("a checksum is that of the whole file", () => {
    const checksum = createHash("sha1").update(FILE).digest("hex");
    const good = { location: "w.bin", checksum: checksum.toUpperCase() };
    expect([...tensorFromProto(reference(good), external()).bytes()]).toEqual([0, 1, 2, 3]);
    const bad = { location: "w.bin", checksum: "0".repeat(40) };
    expect(() => tensorFromProto(reference(bad), external())).toThrow(/SHA-1/);
  });

  it.each([
    ["no location", {}, FormatError, /location/],
    ["an empty location", { location: "" }, FormatError, /location/],
    ["a negative offset", { location: "w.bin", offset: "-4" }, FormatError, /offset/],
    ["no number", { location: "w.bin", offset: "0x4" }, FormatError, /offset/],
    ["a huge number", { location: "w.bin", offset: "99999999999999999999" }, FormatError, /offset/],
    ["another length than the type's", { location: "w.bin", length: "8" }, FormatError, /expected 4 bytes/],
    ["beyond the end", { location: "w.bin", offset: "5" }, FormatError, /file of 8 bytes/],
    ["a file that is not there", { location: "v.bin" }, InputError, /w\.bin/],
  ])("%s is refused", (_, values, type, message) => {
    expect(() => tensorFromProto(reference(values), external())).toThrow(type);
    expect(() => tensorFromProto(reference(values), external())).toThrow(message);
  });

  it("too many entries, and a model without its files, are refused", () => {
    const many = { ...reference({}), externalData: Array(65).fill({ key: "location", value: "w.bin" }) };
    expect(() => tensorFromProto(many, external())).toThrow(/entries/);
    expect(() => tensorFromProto(reference({ location: "w.bin" }))).toThrow(/without its data files/);
  });
});

const MODEL = `<ir_version: 8, opset_import: ["" : 17]> g (bool c) => (float[300] y)
  <float[300] a = random(1), float[2] small = {1, 2}, float[300] b = random(2)>
  { y = If (c) <then_branch = t () => (float[300] r) <float[300] d = random(3)> { r = Add(a, d) },
                else_branch = e () => (float[300] r) { r = Add(b, a) }> }`;

function initializersOf(model: ModelProto): TensorProto[] {
  const branches = model.graph!.node![0]!.attribute!.map((attribute) => attribute.g!);
  return [model.graph!, ...branches].flatMap((graph) => graph.initializer ?? []);
}

describe("externalize", () => {
  const original = parseModel(MODEL);

  it("moves large initializers, those of subgraphs too, to page boundaries of one file", () => {
    const { model, files } = externalize(original, { location: "m.data" });
    expect(files.map((file) => [file.location, file.byteLength])).toEqual([["m.data", 2 * 4096 + 1200]]);
    expect(chunksLength(files[0]!.chunks)).toBe(files[0]!.byteLength);
    const data = { "m.data": joinChunks(files[0]!.chunks) };
    const read = decodeModel(joinChunks(encodeModel(model)));
    const before = initializersOf(original);
    initializersOf(read).forEach((proto, i) => {
      expect(proto.dataLocation).toBe(proto.name === "small" ? undefined : 1);
      const tensor = tensorFromProto(proto, externalDataFromMemory(data));
      expect([...tensor.bytes()]).toEqual([...tensorFromProto(before[i]!).bytes()]);
    });
    expect(initializersOf(original).every((proto) => proto.dataLocation === undefined)).toBe(true);
  });

  it("splits into files of a largest size, a larger tensor alone in one", () => {
    const { model, files } = externalize(original, { location: "m.data", maxFileBytes: 6000 });
    expect(files.map((file) => [file.location, file.byteLength])).toEqual([
      ["m.data", 4096 + 1200],
      ["m.data_1", 1200],
    ]);
    const small = externalize(original, { location: "m.data", maxFileBytes: 100 });
    expect(small.files.map((file) => file.byteLength)).toEqual([1200, 1200, 1200]);
    const data = Object.fromEntries(files.map((file) => [file.location, joinChunks(file.chunks)]));
    for (const proto of initializersOf(model)) tensorFromProto(proto, externalDataFromMemory(data)).bytes();
  });

  it("leaves everything inside below the threshold", () => {
    expect(externalize(original, { location: "m.data", threshold: 1e6 }).files).toEqual([]);
    expect(externalize(original, { location: "m.data", threshold: 1 }).model.graph!.initializer![1]!.dataLocation).toBe(
      1,
    );
  });

  it("writes checksums", () => {
    const { model, files } = externalize(original, { location: "m.data" });
    const bytes = joinChunks(files[0]!.chunks);
    const digest = createHash("sha1").update(bytes).digest("hex");
    const proto = withChecksums(model, new Map([["m.data", digest]])).graph!.initializer![0]!;
    expect(proto.externalData!.at(-1)).toEqual({ key: "checksum", value: digest });
    const files2: ExternalData = { ...externalDataFromMemory({ "m.data": bytes }), sha1: () => digest };
    expect(tensorFromProto(proto, files2).byteLength).toBe(1200);
  });
});

it("a tensor read from outside is written inside", () => {
  const tensor = tensorFromProto(reference({ location: "w.bin", offset: "2" }), external());
  const proto = decodeModel(
    joinChunks(encodeModel({ irVersion: 8, graph: { initializer: [tensorToProto(tensor, "w")] } })),
  );
  expect(proto.graph!.initializer).toEqual([{ name: "w", dataType: 2, dims: [4], rawData: Uint8Array.of(2, 3, 4, 5) }]);
  expect(tensorToProto(Tensor.scalar("int8", 1), undefined).name).toBeUndefined();
});
