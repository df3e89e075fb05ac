import { describe, expect, it } from "vitest";
import { gram, multiply, transpose } from "../../tensor/linalg.ts";
import { createRandom } from "../../util/random.ts";
import { chooseRank, decompose, type Factors, relativeError, tailError } from "./factors.ts";

function normal(size: number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: size }, () => random.normal());
}

/** Singular values by one-sided Jacobi rotations (Hestenes 1958), another way than the code's. Falling. */
function jacobiSingularValues(matrix: ArrayLike<number>, rows: number, columns: number): number[] {
  const a = Array.from({ length: columns }, (_, c) =>
    Array.from({ length: rows }, (_r, r) => matrix[r * columns + c]!),
  );
  const dot = (x: number[], y: number[]): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  for (let sweep = 0; sweep < 30; sweep++) {
    let turned = false;
    for (let p = 0; p < columns; p++) {
      for (let q = p + 1; q < columns; q++) {
        const [x, y] = [a[p]!, a[q]!];
        const [pp, qq, pq] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(pq) <= 1e-15 * Math.sqrt(pp * qq)) continue;
        turned = true;
        const zeta = (qq - pp) / (2 * pq);
        const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const c = 1 / Math.sqrt(1 + t * t);
        for (let i = 0; i < rows; i++) {
          const [u, v] = [x[i]!, y[i]!];
          x[i] = c * (u - t * v);
          y[i] = c * (t * u + v);
        }
      }
    }
    if (!turned) break;
  }
  return a
    .map((column) => Math.sqrt(dot(column, column)))
    .sort((x, y) => y - x)
    .slice(0, Math.min(rows, columns));
}

/** ‖(M − L·R)·X‖ */
function outputError(matrix: Float32Array, { left, right }: Factors, x: Float32Array, dims: number[]): number {
  const [outputs, inputs, samples] = dims as [number, number, number];
  const product = multiply(left, right, outputs, left.length / outputs, inputs);
  const difference = Float64Array.from(matrix, (value, i) => value - product[i]!);
  return Math.hypot(...multiply(difference, x, outputs, inputs, samples));
}

describe.each([
  [12, 30],
  [30, 12],
  [16, 16],
  [1, 9],
])("a weight [%i, %i]", (outputs, inputs) => {
  const full = Math.min(outputs, inputs);
  const matrix = normal(outputs * inputs, 5);
  const values = jacobiSingularValues(matrix, outputs, inputs);
  const norm = Math.hypot(...matrix);

  it("has the singular values that Jacobi's rotations find", () => {
    const { energies, total } = decompose(matrix, outputs, inputs);
    expect(energies).toHaveLength(full);
    // Squares lose half of the digits of small values: 1e-8 of the largest.
    values.forEach((value, i) => {
      expect(Math.abs(Math.sqrt(energies[i]!) - value)).toBeLessThan(1e-8 * values[0]! + 1e-12);
    });
    expect(total).toBeCloseTo(norm ** 2, 8);
  });

  it("loses √Σσ² of those that go, at every rank, and nothing at the full one", () => {
    const spectrum = decompose(matrix, outputs, inputs);
    for (let rank = 1; rank <= full; rank++) {
      const theory = Math.hypot(...values.slice(rank)) / norm;
      const factors = spectrum.factors(rank);
      expect([factors.left.length, factors.right.length]).toEqual([outputs * rank, rank * inputs]);
      // Rounding of factors to float32
      expect(Math.abs(relativeError(matrix, factors, outputs, inputs) - theory)).toBeLessThan(1e-6);
      expect(Math.abs(tailError(spectrum, rank) - theory)).toBeLessThan(1e-7);
    }
    expect(relativeError(matrix, spectrum.factors(full), outputs, inputs)).toBeLessThan(1e-6);
  });

  it("with data loses the least of its outputs: √Σσ² of M·X, and no more than without", () => {
    // Inputs of very different strengths, mixed: what plain SVD cannot know.
    const samples = 60;
    const strengths = Float32Array.from({ length: inputs }, (_, i) => 2 ** -i);
    const random = normal(inputs * samples, 8).map((value, i) => value * strengths[Math.floor(i / samples)]!);
    const x = Float32Array.from(multiply(normal(inputs * inputs, 9), random, inputs, inputs, samples));
    const spectrum = decompose(matrix, outputs, inputs, gram(x, inputs, samples));
    const plain = decompose(matrix, outputs, inputs);
    const whole = multiply(matrix, x, outputs, inputs, samples);
    const of = jacobiSingularValues(whole, outputs, samples);
    const size = Math.hypot(...whole);
    for (const rank of [1, Math.ceil(full / 2)]) {
      const error = outputError(matrix, spectrum.factors(rank), x, [outputs, inputs, samples]) / size;
      // The damping of 1e-6 of the mean strength shows in the third digit of small errors at most.
      expect(Math.abs(error - Math.hypot(...of.slice(rank)) / size)).toBeLessThan(2e-3 * error + 1e-6);
      expect(Math.abs(tailError(spectrum, rank) - error)).toBeLessThan(2e-2 * error + 2e-3);
      expect(error).toBeLessThanOrEqual(
        outputError(matrix, plain.factors(rank), x, [outputs, inputs, samples]) / size + 1e-6,
      );
    }
  });

  it("gives both factors the same length, column by row", () => {
    const rank = Math.ceil(full / 2);
    const { left, right } = decompose(matrix, outputs, inputs).factors(rank);
    const columns = transpose(left, outputs, rank);
    for (let i = 0; i < rank; i++) {
      const [l, r] = [columns.slice(i * outputs, (i + 1) * outputs), right.slice(i * inputs, (i + 1) * inputs)];
      expect(Math.hypot(...l) / Math.hypot(...r)).toBeCloseTo(1, 5);
    }
  });
});

describe("what is known of a weight", () => {
  it("a product of two is found again at its rank", () => {
    const matrix = Float32Array.from(multiply(normal(20 * 4, 1), normal(4 * 30, 2), 20, 4, 30));
    const spectrum = decompose(matrix, 20, 30);
    expect(chooseRank(spectrum, { maxError: 1e-5 })).toBe(4);
    expect(relativeError(matrix, spectrum.factors(4), 20, 30)).toBeLessThan(1e-6);
  });

  it("inputs that never changed do no harm", () => {
    const [outputs, inputs, samples] = [20, 6, 10];
    const x = normal(inputs * samples, 4).fill(0, 0, 3 * samples);
    const matrix = normal(outputs * inputs, 3);
    const spectrum = decompose(matrix, outputs, inputs, gram(x, inputs, samples));
    const factors = spectrum.factors(3);
    expect(outputError(matrix, factors, x, [outputs, inputs, samples])).toBeLessThan(1e-4);
    expect([...factors.left, ...factors.right].every(Number.isFinite)).toBe(true);
  });

  it("zeros have rank 1", () => {
    const spectrum = decompose(new Float32Array(12), 3, 4);
    expect([chooseRank(spectrum, {}), tailError(spectrum, 1)]).toEqual([1, 0]);
    const { left, right } = spectrum.factors(1);
    expect([...multiply(left, right, 3, 1, 4)]).toEqual(new Array(12).fill(0));
  });
});

describe("chooseRank", () => {
  // Squares 16, 8, 4, 2, 1, 1: 32 in all
  const spectrum = { energies: Float64Array.of(16, 8, 4, 2, 1, 1), total: 32 };

  it.each([
    [{ rank: 4 }, 4],
    [{ rank: 40 }, 6],
    [{ rank: 0.5 }, 3],
    [{ rank: 0.01 }, 1],
    [{ energy: 0.5 }, 1],
    [{ energy: 0.75 }, 2],
    [{ energy: 0.76 }, 3],
    [{ energy: 1 }, 6],
    [{ energy: 0 }, 1],
    [{ maxError: 0.5 }, 2],
    [{ maxError: 0.49 }, 3],
    [{ maxError: 0 }, 6],
    [{}, 6],
  ])("%j: %i", (choice, rank) => {
    expect(chooseRank(spectrum, choice)).toBe(rank);
  });
});
