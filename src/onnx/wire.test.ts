import { describe, expect, it } from "vitest";
import { varint } from "../../test/oracle.ts";
import { FormatError } from "../util/errors.ts";
import { decodeString, encodeString, int64Length, Reader, varintLength } from "./wire.ts";

const EDGES: readonly bigint[] = [
  0n,
  1n,
  127n,
  128n,
  1023n,
  1024n,
  2n ** 28n - 1n,
  2n ** 28n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 35n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  -1n,
  -128n,
  -(2n ** 31n),
  -(2n ** 32n),
  -(2n ** 53n),
  -(2n ** 63n),
];

describe("varints", () => {
  it.each(EDGES)("%s", (value) => {
    const bytes = Uint8Array.from(varint(value));
    const reader = new Reader(bytes);
    reader.varint(bytes.length);
    expect(reader.int64()).toBe(value);
    expect(reader.position).toBe(bytes.length);
    expect(int64Length(value)).toBe(bytes.length);
    if (value >= -(2n ** 53n) + 1n && value < 2n ** 53n) {
      expect(reader.safeInteger("field")).toBe(Number(value));
      if (value >= 0n) expect(varintLength(Number(value))).toBe(bytes.length);
    } else expect(() => reader.safeInteger("field")).toThrow(/2\^53/);
  });

  it("take longer forms than needed, as protobuf does", () => {
    const reader = new Reader(Uint8Array.of(0x81, 0x80, 0x00));
    expect(reader.varint(3)).toBe(1);
  });

  it("drop bits above 64", () => {
    const reader = new Reader(Uint8Array.of(...Array(9).fill(0xff), 0x7f));
    reader.varint(10);
    expect(reader.int64()).toBe(-1n);
  });

  it.each([
    ["nothing", []],
    ["cut off", [0x80]],
    ["cut off after nine bytes", Array(9).fill(0xff)],
    ["eleven bytes", [...Array(10).fill(0x80), 1]],
  ])("refuse %s", (_, bytes) => {
    expect(() => new Reader(Uint8Array.from(bytes)).varint(bytes.length)).toThrow(FormatError);
  });

  it("do not read past the given end", () => {
    expect(() => new Reader(Uint8Array.of(0x80, 1)).varint(1)).toThrow(FormatError);
  });
});

describe("strings", () => {
  const read = (bytes: readonly number[] | Uint8Array): string =>
    new Reader(Uint8Array.from(bytes)).string(bytes.length);

  it.each([
    "",
    "Conv",
    "/encoder/layer.0/MatMul",
    "ü€😀",
    "\ufeffbom",
    "a".repeat(64),
    "é".repeat(100),
    "x".repeat(999),
  ])("%j", (text) => {
    const bytes = new TextEncoder().encode(text);
    expect(read(bytes)).toBe(text);
    expect(encodeString(text)).toEqual(bytes);
  });

  it.each([
    ["GBK", [0xb2, 0xe2, 0xca, 0xd4]],
    ["Latin-1", [0x66, 0xfc, 0x72]],
    ["an encoded surrogate", [0xed, 0xa0, 0x80]],
    ["a cut-off sequence", [0xe2, 0x82]],
    ["an overlong form", [0xc0, 0x80]],
    ["beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["bad bytes among good ones", [0xe2, 0x82, 0xac, 0xff, 0x41, 0xf0, 0x9f, 0x98, 0x80, 0x80]],
  ])("%s survives", (_, bytes) => {
    expect([...encodeString(read(bytes))]).toEqual(bytes);
    expect([...encodeString(decodeString(Uint8Array.from(bytes)))]).toEqual(bytes);
  });

  it("every byte before bytes of every kind survives", () => {
    const kinds = [0, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff];
    for (let a = 0; a < 256; a++) {
      for (const b of kinds) {
        const bytes = Uint8Array.of(a, b);
        expect(Buffer.from(encodeString(decodeString(bytes))).equals(bytes)).toBe(true);
      }
    }
  });

  it("repeated ones are found again, different ones of one length are not", () => {
    const names = Array.from({ length: 3000 }, (_, i) => `/layer.${String(i % 1500).padStart(5, "0")}/out`);
    const bytes = new TextEncoder().encode(names.join(""));
    const reader = new Reader(bytes);
    for (const name of names) expect(reader.string(reader.position + name.length)).toBe(name);
  });

  it("are read alike from a view into a larger buffer and without Node's Buffer", () => {
    const bytes = new TextEncoder().encode("xxGatherxxüx");
    expect(new Reader(bytes.subarray(2)).string(6)).toBe("Gather");
    const { Buffer: saved } = globalThis;
    try {
      Reflect.deleteProperty(globalThis, "Buffer");
      const reader = new Reader(bytes.subarray(2));
      expect(reader.string(6)).toBe("Gather");
      expect(reader.string(10)).toBe("xxü");
    } finally {
      globalThis.Buffer = saved;
    }
  });
});
