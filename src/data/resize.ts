/**
 * @file Images of bytes in another size, equal to Pillow's in every bit: what PyTorch's and Hugging Face's preprocessing
 * does before a model sees anything. Source: Pillow, src/libImaging/Resample.c (precompute_coeffs, normalize_coeffs_8bpc).
 */

/** Pixels row by row, the channels of one pixel beside each other. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

/** Names of the interpolations, with the half width of their kernels in pixels of the smaller image. */
export const FILTERS = {
  nearest: { support: 0, kernel: () => 1 },
  box: { support: 0.5, kernel: (x: number) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, kernel: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, kernel: hamming },
  bicubic: { support: 2, kernel: bicubic },
  lanczos: { support: 3, kernel: (x: number) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type FilterName = keyof typeof FILTERS;

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function hamming(at: number): number {
  const x = Math.abs(at);
  if (x === 0) return 1;
  return x >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI));
}

/** Keys 1981 with a = −0.5, as Pillow has it. */
function bicubic(at: number): number {
  const a = -0.5;
  const x = Math.abs(at);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Fractional bits of the weights: 32 − 8 for the pixel − 2 for overshoot. */
const PRECISION_BITS = 22;

/** For each output position: where its inputs start, and their integer weights. */
interface Weights {
  readonly start: Int32Array;
  readonly weights: readonly Int32Array[];
}

function weightsFor(from: number, to: number, filter: FilterName, antialias: boolean): Weights {
  const { support: halfWidth, kernel } = FILTERS[filter];
  const scale = from / to;
  // Downwards the kernel is stretched over all the pixels that fall into one: no aliasing.
  const stretch = antialias ? Math.max(scale, 1) : 1;
  const support = halfWidth * stretch;
  const start = new Int32Array(to);
  const weights = Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), from);
    const values = Array.from({ length: end - first }, (_, x) => kernel((x + first - center + 0.5) / stretch));
    const sum = values.reduce((total, value) => total + value, 0);
    start[i] = first;
    return Int32Array.from(values, (value) => {
      const scaled = (sum === 0 ? value : value / sum) * 2 ** PRECISION_BITS;
      return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    });
  });
  return { start, weights };
}

/**
 * The image in another size. Two passes, columns first, each rounded to bytes.
 * @param antialias false: the kernel is not stretched when the image shrinks, as OpenCV's resize. Default true, as Pillow.
 */
export function resize(image: Image, width: number, height: number, filter: FilterName, antialias = true): Image {
  if (image.width === width && image.height === height) return image;
  if (filter === "nearest") return nearest(image, width, height);
  const wide = width === image.width ? image : resizeRows(image, width, filter, antialias);
  return height === image.height ? wide : resizeColumns(wide, height, filter, antialias);
}

/** Positions are summed up, as in Geometry.c (ImagingScaleAffine): that decides on which side of a border they fall. */
function nearestPositions(from: number, to: number): number[] {
  const scale = from / to;
  let position = scale * 0.5;
  return Array.from({ length: to }, () => {
    const at = Math.min(Math.floor(position), from - 1);
    position += scale;
    return at;
  });
}

function nearest(image: Image, width: number, height: number): Image {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  const columns = nearestPositions(image.width, width);
  let to = 0;
  for (const y of nearestPositions(image.height, height)) {
    for (const x of columns) {
      const from = (y * image.width + x) * channels;
      for (let channel = 0; channel < channels; channel++) data[to++] = image.data[from + channel]!;
    }
  }
  return { width, height, channels, data };
}

const HALF = 1 << (PRECISION_BITS - 1);

const toByte = (sum: number): number => {
  const value = sum >> PRECISION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

function resizeRows(image: Image, width: number, filter: FilterName, antialias: boolean): Image {
  const { channels, height, data } = image;
  const { start, weights } = weightsFor(image.width, width, filter, antialias);
  const result = new Uint8Array(width * height * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = y * image.width * channels;
    for (let x = 0; x < width; x++) {
      const factors = weights[x]!;
      const from = row + start[x]! * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF;
        for (let i = 0, at = from + channel; i < factors.length; i++, at += channels) sum += data[at]! * factors[i]!;
        result[to++] = toByte(sum);
      }
    }
  }
  return { width, height, channels, data: result };
}

function resizeColumns(image: Image, height: number, filter: FilterName, antialias: boolean): Image {
  const { channels, width, data } = image;
  const { start, weights } = weightsFor(image.height, height, filter, antialias);
  const stride = width * channels;
  const result = new Uint8Array(stride * height);
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    const factors = weights[y]!;
    sums.fill(HALF);
    for (let i = 0; i < factors.length; i++) {
      const factor = factors[i]!;
      const row = (start[y]! + i) * stride;
      for (let x = 0; x < stride; x++) sums[x]! += data[row + x]! * factor;
    }
    for (let x = 0; x < stride; x++) result[y * stride + x] = toByte(sums[x]!);
  }
  return { width, height, channels, data: result };
}

/**
 * A part of the image; what lies outside of it gets the colour `pad`, one value per channel.
 * @param left, top may be negative.
 */
export function crop(
  image: Image,
  left: number,
  top: number,
  width: number,
  height: number,
  pad: readonly number[],
): Image {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  const inside = left >= 0 && top >= 0 && left + width <= image.width && top + height <= image.height;
  if (!inside) for (let i = 0; i < data.length; i++) data[i] = pad[i % channels]!;
  const from = Math.max(left, 0);
  const count = Math.min(left + width, image.width) - from;
  for (let y = 0; y < height && count > 0; y++) {
    if (top + y < 0 || top + y >= image.height) continue;
    const start = ((top + y) * image.width + from) * channels;
    data.set(image.data.subarray(start, start + count * channels), (y * width + from - left) * channels);
  }
  return { width, height, channels, data };
}
