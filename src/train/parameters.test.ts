import { describe, expect, it } from "vitest";
import { modelOf } from "../../test/helpers.ts";
import { createRandom } from "../util/random.ts";
import { findParameters } from "./parameters.ts";

const random = createRandom(3);
const learned = (count: number): string => Array.from({ length: count }, () => random.normal().toFixed(3)).join(", ");
const list = (values: readonly number[]): string => values.map((x) => String(Number(x.toFixed(6)))).join(", ");

/** Vaswani et al. 2017, section 3.5: sines at even columns, cosines at odd ones; or in two halves. */
function sinusoid(rows: number, columns: number, halves: boolean): number[] {
  const angle = (t: number, i: number): number => t / 10_000 ** ((2 * i) / columns);
  return Array.from({ length: rows }, (_, t) =>
    Array.from({ length: columns }, (_, j) => {
      const half = columns / 2;
      const [i, cosine] = halves ? [j % half, j >= half] : [Math.floor(j / 2), j % 2 === 1];
      return cosine ? Math.cos(angle(t, i)) : Math.sin(angle(t, i));
    }),
  ).flat();
}
const cosines = (part: (x: number) => number): number[] =>
  Array.from({ length: 24 }, (_, i) => part(Math.floor(i / 4) / 10 ** (i % 4)));
/** A windowed Fourier basis [2F, 1, N] with F = 9, N = 16, as an STFT is exported. */
const basis = [Math.cos, Math.sin].flatMap((part) =>
  Array.from({ length: 9 * 16 }, (_, i) => {
    const [k, n] = [Math.floor(i / 16), i % 16];
    return part((2 * Math.PI * k * n) / 16) * Math.sin((Math.PI * n) / 16) ** 2;
  }),
);

const found = (initializers: string, body: string, input = "float[N, 6, 4] x") => {
  const model = modelOf(`(${input}) => (float y) <${initializers}> { ${body} }`);
  const { parameters, leftAlone } = findParameters(model, { train: [], freeze: [] });
  return {
    parameters: parameters.map(({ name }) => name),
    left: new Map(leftAlone.map((one) => [one.subject, one.reason])),
  };
};
const W = `float[4, 4] w = {${learned(16)}}`;

describe("parameters of exported graphs", () => {
  it.each([
    ["at even and odd columns", false],
    ["in halves", true],
  ])("are not fixed sines %s, but learned positions", (_title, halves) => {
    const body = "h = MatMul(x, w) y = Add(h, position)";
    const fixed = found(`${W}, float[1, 6, 4] position = {${list(sinusoid(6, 4, halves))}}`, body);
    expect(fixed.parameters).toEqual(["w"]);
    expect(fixed.left.get("position")).toMatch(/table of sines and cosines; --train with its full name/);
    expect(found(`${W}, float[1, 6, 4] position = {${learned(24)}}`, body).parameters).toEqual(["w", "position"]);
    const gathered = "e = Gather(table, ids) y = MatMul(e, w)";
    const ids = "int64[N, 6] ids";
    expect(found(`${W}, float[6, 4] table = {${list(sinusoid(6, 4, halves))}}`, gathered, ids).parameters).toEqual([
      "w",
    ]);
    expect(found(`${W}, float[6, 4] table = {${learned(24)}}`, gathered, ids).parameters).toEqual(["table", "w"]);
  });

  it("are not the tables of rotary embeddings, nor a Fourier basis", () => {
    const rotary = found(
      `${W}, float[6, 4] cosine = {${list(cosines(Math.cos))}}, float[6, 4] sine = {${list(cosines(Math.sin))}}`,
      "h = MatMul(x, w) a = Mul(h, cosine) r = Neg(h) b = Mul(r, sine) y = Add(a, b)",
    );
    expect(rotary.parameters).toEqual(["w"]);
    expect(rotary.left.get("cosine")).toMatch(/cosines or sines, with sine/);
    const stft = found(`float[18, 1, 16] basis = {${list(basis)}}`, "y = Conv(x, basis)", "float[N, 1, 64] x");
    expect(stft.parameters).toEqual([]);
    expect(stft.left.get("basis")).toMatch(/sines/);
  });

  it("are not masks, grids and anchors", () => {
    const mask = Array.from({ length: 36 }, (_, i) => (i % 6 > i / 6 ? -100 : 0));
    const scores = "t = Transpose <perm = [0, 2, 1]> (x) h = MatMul(x, w) s = MatMul(h, t) y = Add(s, mask)";
    const masked = found(`${W}, float[6, 6] mask = {${list(mask)}}`, scores);
    expect(masked.parameters).toEqual(["w"]);
    expect(masked.left.get("mask")).toMatch(/a mask/);
    const grid = Array.from({ length: 24 }, (_, i) => Math.floor(i / 4) + 0.5);
    const boxes = found(
      `${W}, float[1, 6, 4] grid = {${list(grid)}}, float[1, 6, 1] stride = {8, 8, 8, 16, 16, 32}`,
      "h = MatMul(x, w) s = Sigmoid(h) a = Add(s, grid) y = Mul(a, stride)",
    );
    expect(boxes.parameters).toEqual(["w"]);
    expect([...boxes.left.values()].join()).toMatch(/grid, anchors, strides/);
  });

  it("are not what prepares inputs, nor epsilons; what is left alone is listed, numbers are not", () => {
    const { parameters, left } = found(
      `${W}, float[4] mean = {0.48, 0.45, 0.4, 0.3}, float[4] std = {0.2, 0.3, 0.2, 0.3}, float epsilon = {0.00001}, float[1] two = {2.0}`,
      "c = Sub(x, mean) d = Div(c, std) h = MatMul(d, w) v = ReduceMean(h) e = Add(v, epsilon) p = Pow(e, two) r = Sqrt(p) y = Div(h, r)",
    );
    expect(parameters).toEqual(["w"]);
    expect([...left.keys()]).toEqual(["mean", "std"]);
    expect(left.get("mean")).toMatch(/no layer comes before it/);
  });

  it("are biases and gains, also at their beginning, class tokens, and biases that are added up first", () => {
    const { parameters } = found(
      `${W}, float[4] zeros = {0, 0, 0, 0}, float[4] ones = {1, 1, 1, 1}, float[4] pruned = {1, 0, 0, 1}, float[1, 1, 4] token = {${learned(4)}}, float[1, 1, 4] pad = {0, 0, 0, 0}`,
      "h = MatMul(x, w) a = Add(h, zeros) b = Mul(a, ones) c = Mul(b, pruned) t = Concat <axis = 1> (token, c) y = Concat <axis = 1> (t, pad)",
      "float[1, 6, 4] x",
    );
    expect(parameters.sort()).toEqual(["ones", "pruned", "token", "w", "zeros"]);
    const cell = found(
      `${W}, float[4] b1 = {${learned(4)}}, float[4] b2 = {${learned(4)}}, float half = {0.5}`,
      "b = Add(b1, b2) c = Mul(b, half) y = Gemm(x, w, c)",
      "float[N, 4] x",
    );
    expect(cell.parameters.sort()).toEqual(["b1", "b2", "w"]);
  });

  it("are what is named in full", () => {
    const model =
      modelOf(`(float[N, 6, 4] x) => (float y) <${W}, float[1, 6, 4] position = {${list(sinusoid(6, 4, true))}}>
      { h = MatMul(x, w) y = Add(h, position) }`);
    const { parameters } = findParameters(model, { train: ["w", "position"], freeze: [] });
    expect(parameters.map(({ name }) => name)).toEqual(["w", "position"]);
    expect(findParameters(model, { train: ["*"], freeze: [] }).parameters.map(({ name }) => name)).toEqual(["w"]);
  });
});
