/** @file Safetensors: files of the reference library, round trips, and every way to be broken. */
import { describe, expect, it } from "vitest";
import reference from "../../test/reference/safetensors.json" with { type: "json" };
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, UnsupportedError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";

/** A file with this header, and so many bytes behind it. */
function file(header: unknown, data = 0, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.byteLength + data);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.byteLength), true);
  bytes.set(text, 8);
  return bytes;
}

const f32 = (begin: number, end: number, shape: readonly unknown[] = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

it("reads what the reference library wrote", () => {
  const bytes = Uint8Array.from(Buffer.from(reference.file, "base64"));
  const { tensors, metadata } = decodeSafetensors(bytes);
  expect(metadata).toEqual(reference.metadata);
  expect(Object.keys(tensors).sort()).toEqual(Object.keys(reference.tensors).sort());
  for (const [name, { dtype, shape, values }] of Object.entries(reference.tensors)) {
    expect([tensors[name]!.dtype, tensors[name]!.dims], name).toEqual([dtype, shape]);
    expect(tensors[name]!.numbers(), name).toEqual(values);
  }
});

it("gives back what it wrote: scalars, empty tensors, odd sizes, every width", () => {
  const tensors = {
    odd: Tensor.of("uint8", [3], Uint8Array.of(1, 2, 3)),
    "0.weight": Tensor.float32([2, 2], [1, -2, 3.5, 0]),
    half: Tensor.float32([3], [1, 2, 3]).toFloat16(),
    empty: Tensor.float32([0, 4], []),
    scalar: Tensor.scalar("int64", -7),
    flag: Tensor.of("bool", [1], Uint8Array.of(1)),
    'name with "quotes" and ä': Tensor.scalar("int32", 5),
  };
  const decoded = decodeSafetensors(encodeSafetensors(tensors, { a: "b" }));
  expect(decoded.metadata).toEqual({ a: "b" });
  expect(Object.keys(decoded.tensors).sort()).toEqual(Object.keys(tensors).sort());
  for (const [name, tensor] of Object.entries(tensors)) {
    const got = decoded.tensors[name]!;
    expect([got.dtype, got.dims, got.bytes()]).toEqual([tensor.dtype, tensor.dims, tensor.bytes()]);
  }
  expect(decodeSafetensors(encodeSafetensors({})).tensors).toEqual({});
});

it("refuses to write what the format has not", () => {
  expect(() => encodeSafetensors({ text: Tensor.strings([1], ["a"]) })).toThrow(UnsupportedError);
  expect(() => encodeSafetensors({ __metadata__: Tensor.float32([1], [1]) })).toThrow(/the format's own/);
});

describe("refuses broken files", () => {
  it.each([
    ["nothing", new Uint8Array(0), /at least 8 bytes, got 0/],
    ["a length that no header has", file({}, 0, 2n ** 62n), /at most 100000000 bytes, got 4611686018427387904/],
    ["a header that is cut off", file({}, 0, 500n), /expected 500 bytes, got 2.*cut off/],
    ["no JSON", file("{oh"), /expected JSON in UTF-8/],
    ["text that is no UTF-8", file("{}").fill(0xff, 8), /expected JSON in UTF-8/],
    ["a list", file([]), /expected a JSON object/],
    ["null", file("null"), /expected a JSON object/],
    ["metadata that are no text", file({ __metadata__: { a: 1 } }), /expected text by key/],
    ["an entry that is none", file({ a: 3 }), /expected one of F64 F32 .*got undefined.*a\.dtype/],
    ["an unknown type", file({ a: { ...f32(0, 4), dtype: "F7" } }, 4), /got "F7"/],
    ["a type named like a method", file({ a: { ...f32(0, 4), dtype: "toString" } }, 4), /got "toString"/],
    ["a shape that is none", file({ a: f32(0, 4, [-1]) }, 4), /non-negative integers, got \[-1\]/],
    ["a shape of fractions", file({ a: f32(0, 4, [0.5]) }, 4), /non-negative integers/],
    ["a shape too large", file({ a: f32(0, 4, [2 ** 30, 2 ** 30]) }, 4), /at most 281474976710656 elements/],
    [
      "offsets that are none",
      file({ a: { ...f32(0, 4), data_offsets: [4] } }, 4),
      /expected \[begin, end\], got \[4\]/,
    ],
    ["offsets backwards", file({ a: { ...f32(0, 4), data_offsets: [4, 0] } }, 4), /expected \[begin, end\]/],
    ["a size that is not the shape's", file({ a: f32(0, 4, [2]) }, 4), /expected 8 bytes for F32 \[2\], got 4/],
    ["data that are cut off", file({ a: f32(0, 8) }, 4), /offsets up to 4, got 8.*cut off/],
    ["data left over", file({ a: f32(0, 4) }, 8), /expected 4 bytes of tensors, got 8/],
    ["overlapping tensors", file({ a: f32(0, 8), b: f32(4, 12) }, 12), /\[4, 12\] overlaps another tensor/],
    ["the same bytes twice", file({ a: f32(0, 4), b: f32(0, 4) }, 4), /overlaps another tensor/],
    ["a gap", file({ a: f32(0, 4), b: f32(8, 12) }, 12), /leaves a gap before it/],
    ["a gap at the front", file({ a: f32(4, 8) }, 8), /leaves a gap before it/],
  ])("%s", (_name, bytes, text) => {
    expect(() => decodeSafetensors(bytes, "w.safetensors")).toThrow(FormatError);
    expect(() => decodeSafetensors(bytes, "w.safetensors")).toThrow(text);
  });

  it("cut off anywhere", () => {
    const whole = encodeSafetensors({ a: Tensor.float32([3], [1, 2, 3]) });
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeSafetensors(whole.slice(0, length)), `${length} bytes`).toThrow(FormatError);
    }
  });

  it("changed anywhere: tensors or a FormatError, never anything else", () => {
    const whole = encodeSafetensors({ a: Tensor.float32([3], [1, 2, 3]), b: Tensor.int64([2], [1, 2]) });
    const random = createRandom(1);
    for (let round = 0; round < 2000; round++) {
      const bytes = whole.slice();
      for (let i = random.integer(3); i >= 0; i--) bytes[random.integer(bytes.length)] = random.integer(256);
      try {
        for (const tensor of Object.values(decodeSafetensors(bytes).tensors)) tensor.numbers();
      } catch (error) {
        // A type may have become one that has no array of numbers.
        expect(["FormatError", "GraphError"]).toContain((error as Error).name);
      }
    }
  });
});
