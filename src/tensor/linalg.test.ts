import { describe, expect, it } from "vitest";
import { createRandom } from "../util/random.ts";
import { cholesky, gram, multiply, solveRight, symmetricEigen, transpose } from "./linalg.ts";

function normal(size: number, seed = 1): Float64Array {
  const random = createRandom(seed);
  return Float64Array.from({ length: size }, () => random.normal());
}

/** Largest difference. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
}

describe("products", () => {
  it("as the sums that define them", () => {
    const [a, b] = [normal(7 * 5), normal(5 * 3, 2)];
    const plain = Array.from({ length: 21 }, (_, at) => {
      const [i, j] = [Math.floor(at / 3), at % 3];
      return [0, 1, 2, 3, 4].reduce((sum, k) => sum + a[i * 5 + k]! * b[k * 3 + j]!, 0);
    });
    // Sums of five products of magnitude 1
    expect(distance(multiply(a, b, 7, 5, 3), plain)).toBeLessThan(1e-14);
    expect(distance(gram(a, 7, 5), multiply(a, transpose(a, 7, 5), 7, 5, 7))).toBeLessThan(1e-14);
  });
});

describe("cholesky", () => {
  it("gives back what it took apart, and solves", () => {
    const a = gram(normal(6 * 9), 6, 9);
    const l = cholesky(a, 6)!;
    expect(distance(gram(l, 6, 6), a)).toBeLessThan(1e-13);
    const b = normal(4 * 6, 3);
    expect(distance(multiply(solveRight(b, l, 4, 6), l, 4, 6, 6), b)).toBeLessThan(1e-12);
  });

  it("refuses what is not positive definite", () => {
    expect(cholesky(Float64Array.of(1, 2, 2, 1), 2)).toBeUndefined();
  });
});

describe("symmetricEigen", () => {
  const check = (a: Float64Array, n: number): ArrayLike<number> => {
    const { values, vectors } = symmetricEigen(a, n);
    const size = Math.max(...a.map(Math.abs), Number.MIN_VALUE);
    // Orthonormal, and A·v = λ·v, to rounding that grows with n.
    expect(distance(gram(vectors, n, n), identity(n))).toBeLessThan(1e-14 * n);
    const right = multiply(vectors, a, n, n, n).map((x) => x / size);
    const left = vectors.map((x, i) => (x * values[Math.floor(i / n)]!) / size);
    expect(distance(right, left)).toBeLessThan(1e-14 * n);
    expect([...values]).toEqual([...values].sort((x, y) => y - x));
    return values;
  };

  it.each([1, 2, 3, 10, 65])("of random matrices, n = %i", (n) => {
    check(gram(normal(n * (n + 2)), n, n + 2), n);
  });

  it("of known ones", () => {
    // The second difference: 2 − 2·cos(k·π / (n + 1))
    const n = 12;
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1;
    }
    const known = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)));
    expect(distance(check(a, n), known)).toBeLessThan(1e-14);
  });

  it("of singular, repeated, tiny and huge ones", () => {
    check(identity(5), 5);
    check(new Float64Array(16), 4);
    check(gram(normal(8 * 2), 8, 2), 8);
    check(
      gram(normal(5 * 5), 5, 5).map((x) => x * 1e-200),
      5,
    );
    check(
      gram(normal(5 * 5), 5, 5).map((x) => x * 1e200),
      5,
    );
    expect(symmetricEigen(new Float64Array(0), 0).values).toHaveLength(0);
  });
});
