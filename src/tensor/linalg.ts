/**
 * @file Dense linear algebra over weights: products, Cholesky, and eigenvectors of symmetric matrices. All matrices are
 * row-major; sums are float64.
 *
 * Sources: Householder tridiagonalization and implicit QL of EISPACK (tred2, tql2; Bowdler et al. 1968), in the form of
 * JAMA; eigenvectors are stored as rows, so that every inner loop runs over neighbours.
 */

type Numbers = Float32Array | Float64Array;

/** A·Aᵀ of A [rows, columns]: [rows, rows]. */
export function gram(a: Numbers, rows: number, columns: number): Float64Array {
  const result = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++) {
    const own = i * columns;
    // Four sums at once: the row is read once for them.
    let j = 0;
    for (; j + 3 <= i; j += 4) {
      const other = j * columns;
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let k = 0; k < columns; k++) {
        const x = a[own + k]!;
        s0 += x * a[other + k]!;
        s1 += x * a[other + columns + k]!;
        s2 += x * a[other + 2 * columns + k]!;
        s3 += x * a[other + 3 * columns + k]!;
      }
      result[i * rows + j] = s0;
      result[i * rows + j + 1] = s1;
      result[i * rows + j + 2] = s2;
      result[i * rows + j + 3] = s3;
    }
    for (; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += a[own + k]! * a[j * columns + k]!;
      result[i * rows + j] = sum;
    }
  }
  for (let i = 0; i < rows; i++) for (let j = 0; j < i; j++) result[j * rows + i] = result[i * rows + j]!;
  return result;
}

/** A·B of A [rows, inner] and B [inner, columns]. */
export function multiply(a: Numbers, b: Numbers, rows: number, inner: number, columns: number): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const to = i * columns;
    for (let k = 0; k < inner; k++) {
      const x = a[i * inner + k]!;
      if (x === 0) continue;
      const from = k * columns;
      for (let j = 0; j < columns; j++) result[to + j]! += x * b[from + j]!;
    }
  }
  return result;
}

/** [columns, rows] of a [rows, columns]. */
export function transpose<T extends Numbers>(a: T, rows: number, columns: number): T {
  const result = a.slice() as T;
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = a[i * columns + j]!;
  return result;
}

/**
 * Lower L with L·Lᵀ = A, for A [n, n] symmetric.
 * @returns undefined where A is not positive definite.
 */
export function cholesky(a: Float64Array, n: number): Float64Array | undefined {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
      if (j < i) l[i * n + j] = sum / l[j * n + j]!;
      else if (sum > 0) l[i * n + i] = Math.sqrt(sum);
      else return undefined;
    }
  }
  return l;
}

/** X with X·L = B, for L [n, n] lower and B [rows, n]. */
export function solveRight(b: Numbers, l: Float64Array, rows: number, n: number): Float64Array {
  const x = Float64Array.from(b);
  for (let row = 0; row < rows; row++) {
    const at = row * n;
    for (let i = n - 1; i >= 0; i--) {
      const value = x[at + i]! / l[i * n + i]!;
      x[at + i] = value;
      for (let j = 0; j < i; j++) x[at + j]! -= value * l[i * n + j]!;
    }
  }
  return x;
}

export interface Eigen {
  /** Falling. */
  readonly values: Float64Array;
  /** [n, n]: row i is the unit eigenvector of value i. */
  readonly vectors: Float64Array;
}

/**
 * Eigenvalues and orthonormal eigenvectors of a symmetric matrix [n, n] of finite numbers, to about 1e-15 of the largest
 * value. Takes about 9·n³ multiplications: a second for n = 512.
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  if (n === 0) return { values: new Float64Array(0), vectors: new Float64Array(0) };
  // A scale of 1 keeps squares away from the ends of the range.
  let scale = 0;
  for (const value of matrix) scale = Math.max(scale, Math.abs(value));
  const z = Float64Array.from(matrix, (value) => (scale === 0 ? 0 : value / scale));
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  tridiagonalize(z, d, e, n);
  diagonalize(z, d, e, n);
  const order = Array.from(d.keys()).sort((a, b) => d[b]! - d[a]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    vectors.set(z.subarray(from * n, (from + 1) * n), to * n);
  });
  return { values: Float64Array.from(order, (index) => d[index]! * scale), vectors };
}

/** tred2: `z` [n, n] becomes the transformation, row j what EISPACK has as column j; `d` the diagonal, `e` beside it. */
function tridiagonalize(z: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  for (let j = 0; j < n; j++) d[j] = z[j * n + n - 1]!;
  for (let i = n - 1; i > 0; i--) {
    let [scale, h] = [0, 0];
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = z[j * n + i - 1]!;
        z[j * n + i] = 0;
        z[i * n + j] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) {
        d[k]! /= scale;
        h += d[k]! ** 2;
      }
      const first = d[i - 1]!;
      const length = first > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * length;
      h -= first * length;
      d[i - 1] = first - length;
      e.fill(0, 0, i);
      for (let j = 0; j < i; j++) {
        const f = d[j]!;
        z[i * n + j] = f;
        const row = j * n;
        let g = e[j]! + z[row + j]! * f;
        for (let k = j + 1; k < i; k++) {
          const value = z[row + k]!;
          g += value * d[k]!;
          e[k]! += value * f;
        }
        e[j] = g;
      }
      let f = 0;
      for (let j = 0; j < i; j++) {
        e[j]! /= h;
        f += e[j]! * d[j]!;
      }
      const hh = f / (h + h);
      for (let j = 0; j < i; j++) e[j]! -= hh * d[j]!;
      for (let j = 0; j < i; j++) {
        const [f, g, row] = [d[j]!, e[j]!, j * n];
        for (let k = j; k < i; k++) z[row + k]! -= f * e[k]! + g * d[k]!;
        d[j] = z[row + i - 1]!;
        z[row + i] = 0;
      }
    }
    d[i] = h;
  }
  for (let i = 0; i < n - 1; i++) {
    z[i * n + n - 1] = z[i * n + i]!;
    z[i * n + i] = 1;
    const h = d[i + 1]!;
    const next = (i + 1) * n;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = z[next + k]! / h;
      for (let j = 0; j <= i; j++) {
        const row = j * n;
        let g = 0;
        for (let k = 0; k <= i; k++) g += z[next + k]! * z[row + k]!;
        for (let k = 0; k <= i; k++) z[row + k]! -= g * d[k]!;
      }
    }
    z.fill(0, next, next + i + 1);
  }
  for (let j = 0; j < n; j++) {
    d[j] = z[j * n + n - 1]!;
    z[j * n + n - 1] = 0;
  }
  z[n * n - 1] = 1;
  e[0] = 0;
}

/** tql2: `d` becomes the eigenvalues, unsorted, the rows of `z` their vectors. */
function diagonalize(z: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  let [shift, largest] = [0, 0];
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    const small = Number.EPSILON * largest;
    let m = l;
    while (Math.abs(e[m]!) > small) m++;
    while (m > l && Math.abs(e[l]!) > small) {
      const g = d[l]!;
      let p = (d[l + 1]! - g) / (2 * e[l]!);
      const r = p < 0 ? -Math.sqrt(p * p + 1) : Math.sqrt(p * p + 1);
      d[l] = e[l]! / (p + r);
      d[l + 1] = e[l]! * (p + r);
      const dl1 = d[l + 1]!;
      const h = g - d[l]!;
      for (let i = l + 2; i < n; i++) d[i]! -= h;
      shift += h;
      p = d[m]!;
      let [c, c2, c3, s, s2] = [1, 1, 1, 0, 0];
      const el1 = e[l + 1]!;
      for (let i = m - 1; i >= l; i--) {
        c3 = c2;
        c2 = c;
        s2 = s;
        const ge = c * e[i]!;
        const hp = c * p;
        const length = Math.sqrt(p * p + e[i]! ** 2);
        e[i + 1] = s * length;
        s = e[i]! / length;
        c = p / length;
        p = c * d[i]! - s * ge;
        d[i + 1] = hp + s * (c * ge + s * d[i]!);
        rotate(z, i * n, n, c, s);
      }
      p = (-s * s2 * c3 * el1 * e[l]!) / dl1;
      e[l] = s * p;
      d[l] = c * p;
    }
    d[l]! += shift;
    e[l] = 0;
  }
}

/** Rows at `row` and behind it: (a, b) → (c·a − s·b, s·a + c·b). */
function rotate(z: Float64Array, row: number, n: number, c: number, s: number): void {
  for (let k = row; k < row + n; k++) {
    const a = z[k]!;
    const b = z[k + n]!;
    z[k] = c * a - s * b;
    z[k + n] = s * a + c * b;
  }
}
