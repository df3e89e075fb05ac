/** @file Tests of npy.ts and npz.ts against NumPy's own bytes. */
import { describe, expect, it } from "vitest";
import type { DType } from "../tensor/dtype.ts";
import { Tensor, type TensorData } from "../tensor/tensor.ts";
import { FormatError, UnsupportedError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { decodeNpy, encodeNpy } from "./npy.ts";
import { decodeNpz, encodeNpz } from "./npz.ts";

/** A file as numpy.lib.format describes it, from its parts. */
function npy(header: string, data: ArrayLike<number>, version = 1): Uint8Array {
  const text = new TextEncoder().encode(`${header}\n`);
  const length = version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, text.length >> 8, 0, 0];
  return Uint8Array.of(0x93, ...new TextEncoder().encode("NUMPY"), version, 0, ...length, ...text, ...Array.from(data));
}

function header(descr: string, shape: string, fortran = "False"): string {
  return `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
}

const CASES: readonly (readonly [DType, TensorData])[] = [
  ["float16", Uint16Array.of(0x3c00, 0x7e00, 0x8000)],
  ["float32", Float32Array.of(1.5, Number.NaN, -0)],
  ["float64", Float64Array.of(Math.PI, Number.NEGATIVE_INFINITY, 5e-324)],
  ["int8", Int8Array.of(-128, 0, 127)],
  ["int16", Int16Array.of(-32768, 0, 32767)],
  ["int32", Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1)],
  ["int64", BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n, 2n ** 63n - 1n)],
  ["uint8", Uint8Array.of(0, 1, 255)],
  ["uint16", Uint16Array.of(0, 1, 65535)],
  ["uint32", Uint32Array.of(0, 1, 2 ** 32 - 1)],
  ["uint64", BigUint64Array.of(0n, 1n, 2n ** 64n - 1n)],
  ["bool", Uint8Array.of(0, 1, 1)],
];

// numpy 2.4.6: np.savez(f, x=np.arange(3,dtype='f4').reshape(1,3), label=np.int64(7))
const NUMPY_NPZ =
  "UEsDBC0AAAAAAAAAIQDdIm23//////////8FABQAeC5ucHkBABAAjAAAAAAAAACMAAAAAAAAAJNOVU1QWQEAdgB7J2Rlc2NyJzogJzxmNCcsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgxLCAzKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAKAAAAAAAAgD8AAABAUEsDBC0AAAAAAAAAIQAjuPBs//////////8JABQAbGFiZWwubnB5AQAQAIgAAAAAAAAAiAAAAAAAAACTTlVNUFkBAHYAeydkZXNjcic6ICc8aTgnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgCgcAAAAAAAAAUEsBAi0DLQAAAAAAAAAhAN0ibbeMAAAAjAAAAAUAAAAAAAAAAAAAAIABAAAAAHgubnB5UEsBAi0DLQAAAAAAAAAhACO48GyIAAAAiAAAAAkAAAAAAAAAAAAAAIABwwAAAGxhYmVsLm5weVBLBQYAAAAAAgACAGoAAACGAQAAAAA=";
// numpy 2.4.6: np.savez_compressed(f, x=np.arange(3,dtype='f4').reshape(1,3), ids=np.zeros((1,40),'i8'))
const NUMPY_NPZ_COMPRESSED =
  "UEsDBC0AAAAIAAAAIQDdIm23//////////8FABQAeC5ucHkBABAAjAAAAAAAAABNAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GoY6CsaaOgq1CmQDLgYwaLAHEg4AUEsDBC0AAAAIAAAAIQBPJV6J//////////8HABQAaWRzLm5weQEAEADAAQAAAAAAAEwAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNpoa6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkahjoKJgaaOgq1CuQCLoZRQBEAAFBLAQItAy0AAAAIAAAAIQDdIm23TQAAAIwAAAAFAAAAAAAAAAAAAACAAQAAAAB4Lm5weVBLAQItAy0AAAAIAAAAIQBPJV6JTAAAAMABAAAHAAAAAAAAAAAAAACAAYQAAABpZHMubnB5UEsFBgAAAAACAAIAaAAAAAkBAAAAAA==";

const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

describe("npy", () => {
  it.each(CASES)("keeps every bit of %s", (dtype, data) => {
    for (const dims of [[3], [1, 3], [3, 1, 1]]) {
      const tensor = Tensor.of(dtype, dims, data);
      const file = encodeNpy(tensor);
      const back = decodeNpy(file);
      expect(back.dtype).toBe(dtype);
      expect(back.dims).toEqual(dims);
      expect(back.bytes()).toEqual(tensor.bytes());
    }
  });

  it("writes what NumPy 2.4.6 writes", () => {
    // np.save of np.array(['a', 'ü😀'])
    const strings = encodeNpy(Tensor.strings([2], ["a", "ü😀"]));
    const expected = `\x93NUMPY\x01\x00v\x00${header("'<U2'", "(2,)").padEnd(117)}\na\0\0\0\0\0\0\0\xfc\0\0\0\0\xf6\x01\0`;
    expect(Buffer.from(strings).toString("latin1")).toBe(expected);
    const scalar = encodeNpy(Tensor.of("bool", [], Uint8Array.of(1)));
    expect(Buffer.from(scalar).toString("latin1")).toBe(
      `\x93NUMPY\x01\x00v\x00${header("'|b1'", "()").padEnd(117)}\n\x01`,
    );
  });

  it("reads Fortran order, big endian, strings and the headers of versions 2 and 3", () => {
    // Columns first: [[0, 2, 4], [1, 3, 5]]
    const fortran = decodeNpy(npy(header("'|u1'", "(2, 3)", "True"), [0, 1, 2, 3, 4, 5], 2));
    expect(fortran.numbers()).toEqual([0, 2, 4, 1, 3, 5]);
    // np.arange(8).reshape(2, 2, 2) in Fortran order and big endian
    const data = [0, 4, 2, 6, 1, 5, 3, 7].flatMap((value) => [0, value]);
    expect(decodeNpy(npy(header("'>i2'", "(2, 2, 2)", "True"), data, 3)).numbers()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const big = decodeNpy(npy(header("'>f8'", "()"), [0x3f, 0xf8, 0, 0, 0, 0, 0, 0]));
    expect([big.dims, big.numbers()]).toEqual([[], [1.5]]);
    expect(decodeNpy(npy(header("'|S2'", "(2,)"), Buffer.from("abc\0"))).strings).toEqual(["ab", "c"]);
    expect(decodeNpy(npy(header("'>U1'", "(1,)"), [0, 1, 0xf6, 0])).strings).toEqual(["😀"]);
    expect(decodeNpy(npy(header("'|b1'", "(2L,)"), [0, 255])).numbers()).toEqual([0, 1]);
    expect(decodeNpy(npy(header("'<f4'", "(0, 9007199254740991, 9007199254740991)"), [])).size).toBe(0);
  });

  it.each([
    ["object arrays", npy(header("'|O'", "(1,)"), [0]), /pickled Python objects.*numpy\.asarray/],
    ["structures", npy(header("[('a', '<f4')]", "(1,)"), [0, 0, 0, 0]), /structured/],
    ["dates", npy(header("'<M8[ns]'", "(1,)"), new Uint8Array(8)), /'<M8\[ns\]'/],
    ["complex", npy(header("'<c8'", "(1,)"), new Uint8Array(8)), /'<c8'/],
    ["huge shapes", npy(header("'<f4'", "(9007199254740991, 9007199254740991)"), [0]), /bytes of data/],
    ["unsafe dimensions", npy(header("'<f4'", "(99999999999999999999,)"), [0]), /non-negative integers/],
    ["negative dimensions", npy(header("'<f4'", "(-1,)"), [0]), /non-negative integers/],
    ["endless empty strings", npy(header("'<U0'", "(9007199254740991,)"), []), /'<U0'/],
    ["too many dimensions", npy(header("'|u1'", `(${"1, ".repeat(65)})`), [0]), /64 dimensions/],
    ["a second array", npy(header("'|u1'", "(1,)"), [0, 1]), /expected 1 bytes of data.*got 2/],
    ["missing keys", npy("{'descr': '<f4', 'shape': (1,), }", [0, 0, 0, 0]), /fortran_order/],
    ["version 9", npy(header("'|u1'", "(1,)"), [0], 9), /version 1, 2 or 3, got 9/],
    ["no magic", new Uint8Array(100), /magic/],
    ["characters beyond Unicode", npy(header("'<U1'", "(1,)"), [0, 0, 0x11, 0]), /code point/],
    ["a header longer than the file", Uint8Array.of(...npy("", []).subarray(0, 6), 2, 0, 255, 255, 0, 0), /cut off/],
    ["a header of 4 GB", Uint8Array.of(...npy("", []).subarray(0, 6), 2, 0, 255, 255, 255, 255), /at most 65536/],
  ])("refuses %s", (_, file, message) => {
    expect(() => decodeNpy(file, "x.npy")).toThrow(FormatError);
    expect(() => decodeNpy(file, "x.npy")).toThrow(message);
  });

  it("refuses to write types that NumPy has not", () => {
    expect(() => encodeNpy(Tensor.of("bfloat16", [1], Uint16Array.of(0)))).toThrow(UnsupportedError);
  });

  it("gives a FormatError for every truncation and nothing else for garbage", () => {
    const whole = encodeNpy(Tensor.float32([2, 2], [1, 2, 3, 4]));
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeNpy(whole.subarray(0, length))).toThrow(FormatError);
    }
    const random = createRandom(1);
    for (let round = 0; round < 3000; round++) {
      const file = whole.slice();
      for (let i = random.integer(4); i >= 0; i--) file[random.integer(100)] = random.integer(256);
      expectOnlyFormatErrors(() => decodeNpy(file));
    }
  });
});

describe("npz", () => {
  it("reads what NumPy writes", () => {
    const { x, label, ...rest } = decodeNpz(fromBase64(NUMPY_NPZ));
    expect([x!.dims, x!.numbers(), label!.dims, label!.numbers(), rest]).toEqual([[1, 3], [0, 1, 2], [], [7], {}]);
    const compressed = decodeNpz(fromBase64(NUMPY_NPZ_COMPRESSED));
    expect(Object.entries(compressed).map(([name, tensor]) => `${name} ${tensor}`)).toEqual([
      "x float32[1,3]",
      "ids int64[1,40]",
    ]);
  });

  it("reads back what it writes, and writes the same bytes each time", () => {
    const arrays = {
      a: Tensor.float32([2], [1, 2]),
      "b/c.0": Tensor.int64([1], [3]),
      ["__proto__"]: Tensor.strings([1], ["x"]),
    };
    for (const compress of [false, true]) {
      const file = encodeNpz(arrays, { compress });
      const back = decodeNpz(file);
      expect(Object.keys(back)).toEqual(["a", "b/c.0", "__proto__"]);
      expect(back["b/c.0"]!.numbers()).toEqual([3]);
      expect(encodeNpz(arrays, { compress })).toEqual(file);
    }
  });

  it("refuses what is not an archive of npy files", () => {
    expect(() => decodeNpz(encodeNpy(Tensor.float32([1], [0])), "x.npz")).toThrow(
      /npz: x\.npz: expected a zip archive/,
    );
    const other = Buffer.from(fromBase64(NUMPY_NPZ).map((byte) => byte));
    for (let at = other.indexOf("x.npy"); at >= 0; at = other.indexOf("x.npy")) other.write("x.txt", at);
    expect(() => decodeNpz(other)).toThrow(/expected entries named \*\.npy, got "x\.txt"/);
  });

  it("gives a FormatError for every truncation and nothing else for garbage", () => {
    const random = createRandom(2);
    for (const source of [NUMPY_NPZ, NUMPY_NPZ_COMPRESSED]) {
      const whole = fromBase64(source);
      for (let length = 0; length < whole.length; length += 7) {
        expect(() => decodeNpz(whole.subarray(0, length))).toThrow(FormatError);
      }
      for (let round = 0; round < 1500; round++) {
        const file = whole.slice();
        for (let i = random.integer(4); i >= 0; i--) file[random.integer(file.length)] = random.integer(256);
        expectOnlyFormatErrors(() => decodeNpz(file));
      }
    }
  });
});

function expectOnlyFormatErrors(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
  }
}
