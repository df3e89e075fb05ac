/**
 * @file How the zeros of a weight lie: anywhere, n of m in a row, whole output channels.
 */

/** At most `n` values that are not zero among each `m` in a row. */
export interface NofM {
  readonly n: number;
  readonly m: number;
}

export interface ZeroPattern {
  readonly elements: number;
  readonly zeros: number;
  /** Output channels, and how many of them have no weight but zeros. */
  readonly channels: number;
  readonly emptyChannels: number;
  /** The pattern that the weight keeps along its inputs. */
  readonly nm: NofM | undefined;
}

const GROUP_SIZES = [4, 8, 16] as const;

/** Share of groups that have exactly n values: where zeros lie anywhere, many groups have fewer than the fullest one. */
const FULL_GROUPS = 0.9;

/**
 * @param axis of the output channels in `dims`. Inputs in a row are those along the first other axis, or, where channels
 * are the first axis, all others in row-major order.
 */
export function zeroPattern(data: Float32Array, dims: readonly number[], axis: number): ZeroPattern {
  const channels = dims[axis] ?? 1;
  const behind = product(dims.slice(axis + 1));
  const used = new Uint8Array(channels);
  let zeros = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === 0) zeros++;
    else used[Math.floor(i / behind) % channels] = 1;
  }
  const emptyChannels = channels - used.reduce((sum, one) => sum + one, 0);
  return {
    elements: data.length,
    zeros,
    channels,
    emptyChannels,
    nm: zeros === 0 ? undefined : findNm(data, dims, axis),
  };
}

/** Elements `length` in a row, `stride` apart. */
interface Rows {
  readonly length: number;
  readonly stride: number;
}

function findNm(data: Float32Array, dims: readonly number[], axis: number): NofM | undefined {
  const along = dims.findIndex((_dim, index) => index !== axis);
  if (along < 0) return undefined;
  const rows: Rows[] = [{ length: dims[along]!, stride: product(dims.slice(along + 1)) }];
  if (axis === 0) rows.push({ length: product(dims.slice(1)), stride: 1 });
  for (const m of GROUP_SIZES) {
    for (const row of rows) {
      const n = mostInGroup(data, row, m);
      if (n !== undefined) return { n, m };
    }
  }
  return undefined;
}

/** The largest number of values in a group of m, where that is fewer than m and nearly all groups have it. */
function mostInGroup(data: Float32Array, { length, stride }: Rows, m: number): number | undefined {
  if (length % m !== 0) return undefined;
  const counts = new Uint32Array(m + 1);
  const rows = data.length / length;
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / stride) * length * stride + (row % stride);
    for (let start = 0; start < length; start += m) {
      let count = 0;
      for (let i = 0; i < m; i++) if (data[base + (start + i) * stride] !== 0) count++;
      counts[count]!++;
    }
  }
  const n = counts.findLastIndex((count) => count > 0);
  return n > 0 && n < m && counts[n]! >= FULL_GROUPS * (data.length / m) ? n : undefined;
}

function product(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total * dim, 1);
}
