import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { varint } from "../../test/oracle.ts";
import { createRandom } from "../util/random.ts";
import { decodeModel } from "./decode.ts";
import { chunkBytes, chunksLength, encodeModel, encodeTensor, joinChunks } from "./encode.ts";
import { ATTRIBUTE_TYPE, type ByteSource, type ModelProto } from "./messages.ts";

const LARGE = 10_000;

function model(graph: ModelProto["graph"]): ModelProto {
  return { irVersion: 8, graph: { name: "g", ...graph } };
}

describe("encodeModel", () => {
  it("passes large contents on and asks sources only when their chunk is read", () => {
    const large = new Uint8Array(LARGE).fill(7);
    let asked = 0;
    const source: ByteSource = {
      byteLength: LARGE,
      bytes: () => {
        asked++;
        return new Uint8Array(LARGE).fill(9);
      },
    };
    const small: ByteSource = { byteLength: 3, bytes: () => Uint8Array.of(1, 2, 3) };
    const initializer = [
      { name: "a", dataType: 2, dims: [LARGE], rawData: large },
      { name: "b", dataType: 2, dims: [LARGE], rawData: source },
      { name: "c", dataType: 2, dims: [3], rawData: small },
    ];
    const chunks = encodeModel(model({ initializer }));
    expect(chunks).toHaveLength(5);
    expect(chunks[1]).toBe(large);
    expect(chunks[3]).toBe(source);
    expect(asked).toBe(0);
    const bytes = joinChunks(chunks);
    expect(asked).toBe(1);
    expect(bytes.byteLength).toBe(chunksLength(chunks));
    expect(chunkBytes(chunks[3]!)[0]).toBe(9);
    const read = fromBinary(ModelProtoSchema, bytes).graph!.initializer;
    expect(read.map((tensor) => [tensor.name, tensor.rawData.length, tensor.rawData[0]])).toEqual([
      ["a", LARGE, 7],
      ["b", LARGE, 9],
      ["c", 3, 1],
    ]);
  });

  it("writes fields by number whatever their order in the object, and skips undefined ones", () => {
    const name = "g";
    const doc = "d";
    const straight = encodeModel({ irVersion: 8, producerName: "p", docString: doc, graph: { name } });
    const mixed = encodeModel({ graph: { name }, docString: doc, domain: undefined, producerName: "p", irVersion: 8 });
    expect(joinChunks(mixed)).toEqual(joinChunks(straight));
  });

  it("keeps empty strings, zeros and empty messages", () => {
    const original = model({ docString: "", node: [{}], input: [{ name: "", type: { tensorType: { shape: {} } } }] });
    original.modelVersion = 0n;
    expect(decodeModel(joinChunks(encodeModel(original)))).toEqual(original);
  });

  it("writes integers of every size", () => {
    const values = [0n, 127n, 128n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 63n - 1n, -1n, -(2n ** 63n)];
    const attribute = [{ name: "a", type: ATTRIBUTE_TYPE.ints, ints: values }];
    const bytes = joinChunks(encodeModel(model({ node: [{ attribute }] })));
    expect(decodeModel(bytes).graph!.node![0]!.attribute![0]!.ints).toEqual(values);
    expect(fromBinary(ModelProtoSchema, bytes).graph!.node[0]!.attribute[0]!.ints).toEqual(values);
  });

  it.each([-1, -(2 ** 40), 2 ** 53 - 1, 2 ** 32])("dimension %d", (dim) => {
    expect([...joinChunks(encodeTensor({ dims: [dim] }))]).toEqual([8, ...varint(dim)]);
  });

  it("strings of every kind and length, over the edges of buffers", () => {
    const random = createRandom(5);
    const alphabet = ["a", "/", "ü", "€", "😀", "\udc80"];
    const input = Array.from({ length: 3000 }, (_, i) =>
      Array.from({ length: random.integer(300) }, () => (i % 2 ? "x" : alphabet[random.integer(6)])).join(""),
    );
    const original = model({ node: [{ input }] });
    const chunks = encodeModel(original);
    expect(chunks.length).toBeGreaterThan(3);
    expect(decodeModel(joinChunks(chunks))).toEqual(original);
  });

  it("small contents of every size up to a chunk's own", () => {
    const initializer = [0, 1, 100, 4095, 4096, 4097, 20_000].map((size) => ({
      name: `t${size}`,
      rawData: new Uint8Array(size).fill(size & 255),
    }));
    const original = model({ initializer });
    expect(decodeModel(joinChunks(encodeModel(original)))).toEqual(original);
  });
});
