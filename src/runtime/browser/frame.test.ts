/** @file Tests of frame.ts: what goes in comes out, aligned; what is cut is refused. */
import { describe, expect, it } from "vitest";
import { FormatError } from "../../util/errors.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";

describe("frames", () => {
  it("carry JSON and bytes, each array at a multiple of 16", () => {
    const value = {
      id: 7,
      text: "zwölf € 😀",
      none: null,
      list: [1.5, true, { inner: new Uint8Array([1, 2, 3]) }],
      empty: new Uint8Array(0),
      view: new Uint8Array([9, 8, 7, 6, 5]).subarray(1, 4),
    };
    const result = decodeFrame(encodeFrame(value)) as typeof value;
    expect(result).toEqual({ ...value, view: Uint8Array.of(8, 7, 6) });
    for (const array of [result.empty, result.view]) expect(array.byteOffset % 16).toBe(0);
  });

  it("are read from a place of any alignment", () => {
    const frame = encodeFrame({ bytes: Uint8Array.of(1, 2) });
    const moved = new Uint8Array(frame.byteLength + 3);
    moved.set(frame, 3);
    const { bytes } = decodeFrame(moved.subarray(3)) as { bytes: Uint8Array };
    expect([...bytes]).toEqual([1, 2]);
    expect(bytes.byteOffset % 16).toBe(0);
  });

  it("that are cut, or none, are refused", () => {
    const frame = encodeFrame({ bytes: new Uint8Array(100) });
    for (const length of [0, 3, 10, frame.byteLength - 50]) {
      expect(() => decodeFrame(frame.subarray(0, length)), `${length} bytes`).toThrow(FormatError);
    }
    expect(() => decodeFrame(new Uint8Array(64).fill(255))).toThrow(/expected 4294967295 bytes of JSON/);
  });
});
