/** @file Tests of size.ts against zlib's one-call functions. */
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { afterEach, expect, it, vi } from "vitest";
import { createRandom } from "../util/random.ts";
import { compressedSizes } from "./size.ts";

const random = createRandom(1);
const bytes = Uint8Array.from({ length: 3_000_001 }, () => random.integer(16));

afterEach(() => vi.unstubAllGlobals());

it("counts what zlib gives, whatever the chunks", async () => {
  const chunks = [bytes.subarray(0, 10), new Uint8Array(0), bytes.subarray(10)];
  const whole = await compressedSizes(bytes);
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  expect(whole.bytes).toBe(bytes.length);
  // Chunks change where blocks end: a few bytes.
  expect(Math.abs(whole.gzip! - gzipSync(bytes).length)).toBeLessThan(64);
  expect(Math.abs(whole.brotli! - brotli.length)).toBeLessThan(64);
  expect(whole.gzip!).toBeLessThan(bytes.length * 0.6); // 4 bits of 8, and Huffman's overhead
  const parts = await compressedSizes(chunks);
  expect(parts.bytes).toBe(bytes.length);
  expect(Math.abs(parts.gzip! - whole.gzip!)).toBeLessThan(64);
  async function* stream() {
    yield* chunks;
  }
  expect(await compressedSizes(stream(), { byteLength: bytes.length })).toEqual(parts);
});

it("counts nothing as nothing", async () => {
  expect(await compressedSizes([])).toMatchObject({ bytes: 0, gzip: 20 });
});

it("has gzip alone where there is no Node, and neither without CompressionStream", async () => {
  const { gzip } = await compressedSizes(bytes);
  vi.stubGlobal("process", undefined);
  const web = await compressedSizes([bytes]);
  expect(web.brotli).toBeUndefined();
  expect(Math.abs(web.gzip! - gzip!)).toBeLessThan(64);
  vi.stubGlobal("CompressionStream", undefined);
  expect(await compressedSizes([bytes])).toEqual({ bytes: bytes.length, gzip: undefined, brotli: undefined });
});
