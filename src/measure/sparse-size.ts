/**
 * @file What tensors weigh in the usual sparse formats, beside their dense form and what compressors make of that.
 *
 * Source of the formats: CSR and COO as in scipy.sparse; positions as gaps with fillers in Han et al. 2016, "Deep
 * Compression", §2. Indices take as few whole bytes as their largest value needs.
 */
import { isStoredSparse, nonZeroPositions, storedByteLength, toSparse } from "../onnx/sparse-proto.ts";
import { DTYPES } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { compressedSizes } from "./size.ts";

/** Bytes by format. Values are stored as they are; only what says where they stand differs. */
export interface FormatSizes {
  readonly dense: number;
  /** Compressed rows of the matrix [first dimension, all others]: column of each value, first value of each row. */
  readonly csr: number;
  /** Row and column of each value. */
  readonly coo: number;
  /** One bit per element, and the values. */
  readonly bitmap: number;
  /** Number of zeros before each value, in the number of bits (1 to 16) that is best; longer gaps have filler zeros. */
  readonly gap: number;
  /** The same gaps at their entropy: what a perfect coder of single gaps would take, without its table. */
  readonly gapEntropy: number;
  /** ONNX's own sparse form as this package writes it; undefined for scalars and empty tensors, which have none. */
  readonly sparseInitializer: number | undefined;
}

export interface SparseSizes extends FormatSizes {
  readonly elements: number;
  readonly nonZero: number;
}

/** The most bits for a gap: beyond it fillers never pay. */
const MAX_GAP_BITS = 16;

/**
 * Sizes of one tensor in each format.
 * @returns undefined for types whose elements are not whole bytes (strings, 4 bits).
 */
export function sparseSizes(tensor: Tensor): SparseSizes | undefined {
  const positions = nonZeroPositions(tensor);
  if (positions === undefined) return undefined;
  const elements = tensor.size;
  const nonZero = positions.length;
  const width = DTYPES[tensor.dtype].bits / 8;
  const values = nonZero * width;
  const rows = tensor.dims.length < 2 ? 1 : tensor.dims[0]!;
  const columns = rows === 0 ? 0 : elements / rows;
  const gaps = countGaps(positions);
  const sparse = isStoredSparse(tensor) ? tensor : toSparse(tensor);
  return {
    elements,
    nonZero,
    dense: elements * width,
    csr: values + nonZero * indexBytes(columns) + (rows + 1) * indexBytes(nonZero + 1),
    coo: values + nonZero * (indexBytes(rows) + indexBytes(columns)),
    bitmap: values + Math.ceil(elements / 8),
    gap: gapBytes(gaps, width * 8),
    gapEntropy: values + Math.ceil(entropyBits(gaps, nonZero) / 8),
    sparseInitializer: sparse && storedByteLength(sparse),
  };
}

/** Whole bytes for an index that has `count` values. */
function indexBytes(count: number): number {
  if (count <= 1) return 0;
  return count <= 2 ** 8 ? 1 : count <= 2 ** 16 ? 2 : 4;
}

/** How often each number of zeros stands before a value. */
function countGaps(positions: Uint32Array): ReadonlyMap<number, number> {
  const gaps = new Map<number, number>();
  let next = 0;
  for (const position of positions) {
    const gap = position - next;
    gaps.set(gap, (gaps.get(gap) ?? 0) + 1);
    next = position + 1;
  }
  return gaps;
}

/** A code of k bits counts up to 2^k − 1 zeros; a filler is one more zero with a code of its own. */
function gapBytes(gaps: ReadonlyMap<number, number>, valueBits: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let k = 1; k <= MAX_GAP_BITS; k++) {
    let codes = 0;
    for (const [gap, count] of gaps) codes += count * (1 + Math.floor(gap / 2 ** k));
    best = Math.min(best, codes * (k + valueBits));
  }
  return Math.ceil(best / 8);
}

/** n · H = Σ count · log2(n / count) */
function entropyBits(gaps: ReadonlyMap<number, number>, total: number): number {
  let bits = 0;
  for (const count of gaps.values()) bits += count * Math.log2(total / count);
  return bits;
}

export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

export interface SparseSizeRow extends SparseSizes {
  readonly name: string;
  /** Of the dense bytes; undefined where the platform has no such compressor. */
  readonly gzip: number | undefined;
  readonly brotli: number | undefined;
}

export interface SparseSizeTable {
  readonly rows: readonly SparseSizeRow[];
  /** Sums of the rows: each tensor compressed by itself. */
  readonly total: Omit<SparseSizeRow, "name">;
}

/** Sizes of all tensors of whole bytes, and their sums. A tensor without a sparse form counts as dense in that sum. */
export async function sparseSizeTable(tensors: Iterable<NamedTensor>): Promise<SparseSizeTable> {
  const rows: SparseSizeRow[] = [];
  for (const { name, tensor } of tensors) {
    const sizes = sparseSizes(tensor);
    if (sizes === undefined) continue;
    const { gzip, brotli } = await compressedSizes(tensor.bytes());
    rows.push({ name, ...sizes, gzip, brotli });
  }
  const sum = (of: (row: SparseSizeRow) => number): number => rows.reduce((total, row) => total + of(row), 0);
  const known = (of: (row: SparseSizeRow) => number | undefined): number | undefined =>
    rows.some((row) => of(row) === undefined) ? undefined : sum((row) => of(row)!);
  return {
    rows,
    total: {
      elements: sum((row) => row.elements),
      nonZero: sum((row) => row.nonZero),
      dense: sum((row) => row.dense),
      csr: sum((row) => row.csr),
      coo: sum((row) => row.coo),
      bitmap: sum((row) => row.bitmap),
      gap: sum((row) => row.gap),
      gapEntropy: sum((row) => row.gapEntropy),
      sparseInitializer: sum((row) => row.sparseInitializer ?? row.dense),
      gzip: known((row) => row.gzip),
      brotli: known((row) => row.brotli),
    },
  };
}
