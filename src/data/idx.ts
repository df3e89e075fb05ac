/**
 * @file IDX files, the format of MNIST and of the sets made after it: bytes to a tensor.
 * Source: http://yann.lecun.com/exdb/mnist (The IDX file format): two zero bytes, type, rank, big-endian dimensions, data.
 */
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError } from "../util/errors.ts";

/** Images with channels and a sequence axis have five; the format's own limit is 255. */
const MAX_RANK = 8;

/** Elements of one file: above it, sizes leave what one typed array holds. */
const MAX_ELEMENTS = 2 ** 32;

const TYPES: ReadonlyMap<number, DType> = new Map<number, DType>([
  [0x08, "uint8"],
  [0x09, "int8"],
  [0x0b, "int16"],
  [0x0c, "int32"],
  [0x0d, "float32"],
  [0x0e, "float64"],
]);

/**
 * Decodes one file. A tensor of bytes is a view: `bytes` must not change; wider types are copied into this machine's order.
 * @param name what messages call the file.
 * @throws FormatError for anything that is not a whole IDX file.
 */
export function decodeIdx(bytes: Uint8Array, name = "idx"): Tensor {
  const fail = (problem: string, offset: number, field: string, help?: string): FormatError =>
    new FormatError({ area: "idx", subject: name, problem, offset, field, help });
  if (bytes.byteLength < 4) throw fail(`expected at least 4 bytes, got ${bytes.byteLength}`, 0, "magic");
  if (bytes[0] !== 0 || bytes[1] !== 0) {
    throw fail("expected two zero bytes, got something else", 0, "magic", "Is it an IDX file, and unpacked?");
  }
  const [dtype, rank] = [TYPES.get(bytes[2]!), bytes[3]!];
  if (dtype === undefined) {
    throw fail(`expected a type of 8, 9, 11, 12, 13 or 14, got ${bytes[2]}`, 2, "type", "Is it an IDX file?");
  }
  if (rank < 1 || rank > MAX_RANK) throw fail(`expected 1 to ${MAX_RANK} dimensions, got ${rank}`, 3, "rank");
  const start = 4 + 4 * rank;
  if (bytes.byteLength < start) {
    throw fail(`expected ${rank} dimensions, got ${bytes.byteLength} bytes`, 4, "dimensions", "The file is cut off.");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (count > MAX_ELEMENTS) {
    throw fail(`expected at most ${MAX_ELEMENTS} elements, got [${dims.join(", ")}]`, 4, "dimensions");
  }
  const width = DTYPES[dtype].bits / 8;
  const available = bytes.byteLength - start;
  if (available !== count * width) {
    const problem = `expected ${count * width} bytes for ${dtype} [${dims.join(", ")}], got ${available}`;
    throw fail(problem, start, "data", available < count * width ? "The file is cut off." : undefined);
  }
  const data = width === 1 ? bytes.subarray(start) : bytes.slice(start);
  if (width > 1) for (let at = 0; at < data.length; at += width) data.subarray(at, at + width).reverse();
  return new Tensor(dtype, dims, { byteLength: available, bytes: () => data });
}
