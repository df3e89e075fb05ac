import { describe, expect, it } from "vitest";
import {
  bytesOf,
  compareAll,
  initializerOf,
  modelOf,
  nodeOf,
  opCounts,
  reload,
  runAll,
  runtimes,
  samplesFor,
} from "../../test/helpers.ts";
import { fakeQuantize, mask } from "../graph/parametrization-kinds.ts";
import { verifyModel } from "../graph/verify.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import { multiply } from "../tensor/linalg.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom, type Random } from "../util/random.ts";
import { decompose } from "./low-rank/factors.ts";
import { type FactorLayer, factorLayer, matrixOf, splitLayer } from "./low-rank/layer.ts";
import { lowRank } from "./low-rank.ts";

type Model = ReturnType<typeof modelOf>;

/** All options but the choice of nodes open: every layer is split. */
const ALL = { minElements: 1, convolutions: "all", multiple: 1 } as const;

function normal(size: number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: size }, () => random.normal());
}

/** A constant [rows, columns] of rank `rank`, with elements of magnitude `1 / √columns`, in the value's own dimensions. */
function setRank(model: Model, name: string, rank: number, rows: number): void {
  const value = initializerOf(model, name);
  const columns = value.initializer!.size / rows;
  const product = multiply(normal(rows * rank, 1), normal(rank * columns, 2), rows, rank, columns);
  const data = Float32Array.from(product, (x) => x / Math.sqrt(rank * columns));
  value.initializer = Tensor.float32(value.initializer!.dims, data);
}

async function outputsOf(model: Model, samples: readonly Tensors[]): Promise<readonly Tensors[]> {
  return runAll(await runtimes.node(), bytesOf(reload(model)), samples);
}

/** Largest relative difference of outputs. */
function worst(reference: readonly Tensors[], other: readonly Tensors[]): number {
  const sqnr = compareAll(reference, other).map((output) => (output.kind === "float" ? output.sqnr : Number.NaN));
  return 10 ** (-Math.min(...sqnr) / 20);
}

/** One graph of each kind, with what random numbers decide about it. */
function randomGraph(kind: string, random: Random): string {
  const dim = (): number => 1 + random.integer(9);
  const [m, k, n] = [dim(), dim(), dim()];
  const flag = (): number => random.integer(2);
  if (kind === "MatMul") {
    const front = ["", `${dim()}, `, `${dim()}, ${dim()}, `][random.integer(3)]!;
    return `(float[${front}${m}, ${k}] x) => (float[${front}${m}, ${n}] y) <float[${k}, ${n}] w = random(1)>
      { y = MatMul(x, w) }`;
  }
  if (kind === "Gemm") {
    const [a, b, bias] = [flag(), flag(), random.integer(3)];
    const c = ["", `, float[${n}] c = random(2)`, `, float[${m}, 1] c = random(2)`][bias]!;
    return `(float[${a ? `${k}, ${m}` : `${m}, ${k}`}] x) => (float[${m}, ${n}] y)
      <float[${b ? `${n}, ${k}` : `${k}, ${n}`}] w = random(1)${c}>
      { y = Gemm<transA = ${a}, transB = ${b}, alpha = ${(0.5 + random.next()).toFixed(2)}, beta = 0.5>(x, w${bias > 0 ? ", c" : ""}) }`;
  }
  const axes = 1 + random.integer(3);
  const each = (of: () => number): string => Array.from({ length: axes }, of).join(", ");
  const kernel = each(() => 1 + random.integer(3));
  const bias = flag() ? [`, float[${n}] c = random(2)`, ", c"] : ["", ""];
  const window = [
    `strides = [${each(() => 1 + random.integer(2))}]`,
    flag() ? `pads = [${each(() => random.integer(2))}, ${each(() => random.integer(2))}]` : 'auto_pad = "SAME_UPPER"',
    ...(flag() ? [`kernel_shape = [${kernel}]`] : []),
  ];
  return `(float[2, ${k}, ${each(() => 6)}] x) => (float y) <float[${n}, ${k}, ${kernel}] w = random(1)${bias[0]}>
    { y = Conv<${window.join(", ")}>(x, w${bias[1]}) }`;
}

describe("at the full rank nothing changes, whatever the shape", () => {
  it.each(["MatMul", "Gemm", "Conv"])("%s, 12 random ones", async (kind) => {
    const random = createRandom(3);
    for (let i = 0; i < 12; i++) {
      const text = randomGraph(kind, random);
      const model = modelOf(text);
      const { samples } = await samplesFor(model, { count: 1 });
      const before = await outputsOf(model, samples);
      const layer = factorLayer(nodeOf(model, "y")) as FactorLayer;
      const full = Math.min(layer.outputs, layer.inputs);
      splitLayer(layer, decompose(matrixOf(layer), layer.outputs, layer.inputs).factors(full));
      verifyModel(model);
      expect(opCounts(model)).toEqual({ [kind]: 2 });
      expect(worst(before, await outputsOf(model, samples)), text).toBeLessThan(1e-5);
    }
  });
});

const NET = `(float[1, 16, 6, 6] x) => (float[1, 40] y)
  <float[48, 16, 1, 1] w = random(1), float[48] b = random(2), float[24, 48, 3, 3] k = random(3), float[864, 64] m = random(4),
   float[40, 64] g = random(5), float[40] c = random(6)>
  { [point] p = Conv(x, w, b)  a = Relu(p)  [window] q = Conv<pads = [1, 1, 1, 1]>(a, k)  f = Flatten(q)  [product] d = MatMul(f, m)
    [last] y = Gemm<transB = 1>(d, g, c) }`;

/** Weights of ranks 4, 8, 16 and 5. */
function net(): Model {
  const model = modelOf(NET);
  setRank(model, "w", 4, 48);
  setRank(model, "k", 8, 24);
  setRank(model, "m", 16, 864);
  setRank(model, "g", 5, 40);
  return model;
}

describe("low-rank", () => {
  it("finds the rank of weights that have one, and the model gives the same on both runtimes", async () => {
    const model = net();
    const { samples } = await samplesFor(model);
    const before = await outputsOf(model, samples);
    const report = await runStep(model, lowRank, { ...ALL, maxError: 1e-5 });
    expect(report).toEqual({
      changed: 4,
      changes: [
        "point (Conv): rank 4 of 16, 768 → 256 parameters, relative error 0.0000",
        "window (Conv): rank 8 of 24, 10,368 → 3,648 parameters, relative error 0.0000",
        "product (MatMul): rank 16 of 64, 55,296 → 14,848 parameters, relative error 0.0000",
        "last (Gemm): rank 5 of 40, 2,560 → 520 parameters, relative error 0.0000",
      ],
      leftAlone: [],
    });
    expect(opCounts(model)).toEqual({ Conv: 4, Relu: 1, Flatten: 1, MatMul: 2, Gemm: 2 });
    // Names of nodes and of what they make stay.
    expect(nodeOf(model, "product").output().name).toBe("d");
    expect([...model.graph.initializers].map(({ name }) => name).sort()).toEqual(
      ["b", "c", "g_in", "g_out", "k_in", "k_out", "m_in", "m_out", "w_in", "w_out"].sort(),
    );
    expect(nodeOf(model, "window").ints("kernel_shape")).toEqual([1, 1]);
    for (const runtime of [await runtimes.node(), await runtimes.web()]) {
      expect(worst(before, await runAll(runtime, bytesOf(reload(model)), samples))).toBeLessThan(1e-5);
    }
  });

  it("takes a rank as a number and as a share, and rounds found ones up", async () => {
    const ranks = async (options: object): Promise<(string | undefined)[]> => {
      const { changes } = await runStep(net(), lowRank, { ...ALL, ...options });
      return changes!.map((line) => /rank (\d+)/.exec(line)?.[1]);
    };
    expect(await ranks({ rank: 3 })).toEqual(["3", "3", "3", "3"]);
    expect(await ranks({ rank: 0.25 })).toEqual(["4", "6", "16", "10"]);
    expect(await ranks({ maxError: 1e-5, multiple: 8 })).toEqual(["8", "8", "16", "8"]);
  });

  it("loses what it says", async () => {
    const model = modelOf("(float[4, 32] x) => (float[4, 32] y) <float[32, 32] w = random(1)> { y = MatMul(x, w) }");
    const before = initializerOf(model, "w").constant!.floats();
    const { changes } = await runStep(model, lowRank, { ...ALL, rank: 8 });
    const [a, b] = [initializerOf(model, "w_in").constant!.floats(), initializerOf(model, "w_out").constant!.floats()];
    const product = multiply(a, b, 32, 8, 32);
    const error = Math.hypot(...before.map((x, i) => x - product[i]!)) / Math.hypot(...before);
    expect(changes![0]).toContain(`relative error ${error.toFixed(4)}`);
  });

  it("says why it leaves layers alone", async () => {
    const model = modelOf(`(float[2, 8, 4, 4] x, float[8, 8] z) => (float y)
      <float[8, 1, 1, 1] w = random(1), float[8, 8, 3, 3] k = random(2), float[16, 8, 1, 1] r = random(3), float[2, 4, 4] s = random(4),
       float[4, 4] t = random(5), float[4, 4] u = random(6), double[4, 4] v = {${new Array(16).fill(0.5).join()}}>
      { [depthwise] a = Conv<group = 8>(x, w)  [window] b = Conv<pads = [1, 1, 1, 1]>(a, k)  [random] c = Conv(b, r)
        [stack] e = MatMul(s, s)  [left] f = MatMul(t, c)  [tied] g = MatMul(f, u)  [tied2] h = MatMul(g, u)
        [double] i = MatMul(v, v)  [both] j = MatMul(z, z)  [out] y = MatMul(h, t) }`);
    const { changed, leftAlone } = await runStep(model, lowRank, { minElements: 20, exclude: ["out"] });
    expect(changed).toBe(0);
    expect(Object.fromEntries(leftAlone!.map(({ subject, reason }) => [subject, reason]))).toEqual({
      depthwise: "it has 8 groups",
      window: "its kernel is 3×3; convolutions all would split it, too",
      random: "rank 8 of 8 is needed: that saves nothing",
      stack: "its left operand is the constant one",
      left: "its left operand is the constant one",
      tied: "its weight is shared with another node",
      tied2: "its weight is shared with another node",
      double: "its left operand is the constant one",
      both: "its weight is not constant",
      out: "exclude names it",
    });
    const small = await runStep(net(), lowRank, { maxError: 1e-5, convolutions: "all" });
    expect(small.leftAlone).toContainEqual({
      subject: "point",
      opType: "Conv",
      reason: "its weight has 768 elements, fewer than 4096",
    });
    const dear = await runStep(net(), lowRank, { ...ALL, rank: 11, ops: ["Conv"], include: ["point"] });
    expect(dear.leftAlone).toContainEqual({
      subject: "point",
      opType: "Conv",
      reason: "rank 11 of 16: that saves 8.3 %",
    });
  });

  it("leaves masks and fake quantizers as they are", async () => {
    const model = net();
    mask.insert(model, initializerOf(model, "m"), Tensor.of("bool", [864, 64], new Uint8Array(864 * 64).fill(1)));
    const quantizer = { scale: Tensor.scalar("float32", 0.1), zeroPoint: Tensor.scalar("int8", 0) };
    fakeQuantize.insert(model, initializerOf(model, "g"), quantizer);
    fakeQuantize.insert(model, nodeOf(model, "p").output(), quantizer);
    const { changed, leftAlone } = await runStep(model, lowRank, { ...ALL, maxError: 1e-5 });
    expect(changed).toBe(2);
    expect(leftAlone!.map(({ subject, reason }) => [subject, reason])).toEqual([
      ["product", "its weight is under a parametrization (mask)"],
      ["last", "its weight is under a parametrization (fake-quantize)"],
    ]);
    expect(reload(model).parametrizations.size).toBe(3);
  });

  it("keeps what real inputs use, where data say it", async () => {
    const text = "(float[16, 48] x) => (float[16, 64] y) <float[48, 64] w = random(1)> { y = MatMul(x, w) }";
    // Inputs that live in 6 of 48 directions
    const samples = [1, 2, 3, 4].map((seed) => {
      const data = multiply(normal(16 * 6, seed), normal(6 * 48, 99), 16, 6, 48);
      return { x: Tensor.float32([16, 48], Float32Array.from(data)) };
    });
    const calibration = { name: "low", length: 3, samples: () => samples.slice(0, 3).map((inputs) => ({ inputs })) };
    const errors: number[] = [];
    const runtime = await runtimes.node();
    for (const weighting of ["none", "activations"] as const) {
      const model = modelOf(text);
      const before = await outputsOf(model, samples.slice(3));
      const options = { ...ALL, rank: 6, weighting };
      const { changes } = await runStep(model, lowRank, options, { runtime, calibration });
      if (weighting === "activations") expect(changes![0]).toMatch(/, of its outputs 0\.00\d\d$/);
      errors.push(worst(before, await outputsOf(model, samples.slice(3))));
    }
    // A new sample from the same directions
    expect(errors[1]).toBeLessThan(1e-3);
    expect(errors[0]).toBeGreaterThan(0.3);
  });

  it("takes moments of Gemm with transA, and of 1×1 convolutions, along their channels", async () => {
    const text = `(float[12, 20] x, float[2, 12, 5, 5] z) => (float y, float v)
      <float[12, 30] w = random(1), float[30, 12, 1, 1] k = random(2)> { y = Gemm<transA = 1>(x, w)  v = Conv(z, k) }`;
    // Only the first three channels carry anything.
    const keep = (dims: number[], channel: (i: number) => number, seed: number): Tensor =>
      Tensor.float32(
        dims,
        normal(
          dims.reduce((a, b) => a * b, 1),
          seed,
        ).map((value, i) => (channel(i) < 3 ? value : 0)),
      );
    const inputs = {
      x: keep([12, 20], (i) => Math.floor(i / 20), 7),
      z: keep([2, 12, 5, 5], (i) => Math.floor(i / 25) % 12, 8),
    };
    const model = modelOf(text);
    const before = await outputsOf(model, [inputs]);
    const context = { runtime: await runtimes.node(), calibration: { name: "c", samples: () => [{ inputs }] } };
    await runStep(model, lowRank, { ...ALL, rank: 3, weighting: "activations" }, context);
    expect(opCounts(model)).toEqual({ Gemm: 2, Conv: 2 });
    expect(worst(before, await outputsOf(model, [inputs]))).toBeLessThan(1e-3);
  });

  it("works in a branch, and with Gemm of old opsets", async () => {
    const model = modelOf(`(bool b, float[2, 40] x) => (float[2, 40] y)
      { y = If(b) <then_branch = s () => (float[2, 40] t) <float[40, 40] w = random(1)> { t = MatMul(x, w) },
                   else_branch = e () => (float[2, 40] i) { i = Identity(x) }> }`);
    expect((await runStep(model, lowRank, { ...ALL, rank: 2 })).changed).toBe(1);
    const branch = [...model.graphs()].find((graph) => [...graph.nodes()].some((node) => node.is("MatMul")))!;
    expect([...branch.initializers].map(({ name }) => name)).toEqual(["w_in", "w_out"]);
    const old = modelOf(
      "(float[2, 40] x) => (float[2, 40] y) <float[40, 40] w = random(1), float[40] c = random(2)> { y = Gemm(x, w, c) }",
      9,
    );
    setRank(old, "w", 2, 40);
    const { samples } = await samplesFor(old, { count: 1 });
    const before = await outputsOf(old, samples);
    expect((await runStep(old, lowRank, { ...ALL, rank: 2 })).changed).toBe(1);
    expect(worst(before, await outputsOf(old, samples))).toBeLessThan(1e-5);
  });

  it.each([
    [{ rank: 2, energy: 0.9 }, /at most one of rank, energy and maxError, got 2/],
    [{ rank: 1.5 }, /a share below 1 or a whole number, got 1\.5/],
    [{ weighting: "activations" as const }, /expected calibration data for activations/],
  ])("%j is refused", async (options, message) => {
    await expect(runStep(net(), lowRank, options)).rejects.toThrow(message);
  });

  it("stops when it is told to", async () => {
    const controller = new AbortController();
    const progress = (): void => controller.abort(new Error("enough"));
    const context = { progress, signal: controller.signal };
    await expect(runStep(net(), lowRank, ALL, context)).rejects.toThrow("enough");
  });
});
