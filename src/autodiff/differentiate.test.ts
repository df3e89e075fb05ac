/**
 * @file The driver: what it sums, what it reaches, what it refuses. Rules have their own tests in test/gradients/.
 */
import { describe, expect, test } from "vitest";
import { runGradients } from "../../test/gradients/run.ts";
import { initializerOf, modelOf, nodeOf, opCounts } from "../../test/helpers.ts";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { Tensor } from "../tensor/tensor.ts";
import { GraphError, UnsupportedError } from "../util/errors.ts";
import { differentiate } from "./differentiate.ts";
import { gradientRow } from "./table.ts";

const vector = (...values: readonly number[]): Tensor => Tensor.float32([values.length], values);
const inputOf = (model: Model, name: string): Value => model.graph.inputs.find((value) => value.name === name)!;
const valueNamed = (model: Model, name: string): Value =>
  nodeOf(model, name).outputs.find((value) => value?.name === name)!;
/** Without the sign of zeros. */
const numbersOf = (tensors: readonly Tensor[]): number[][] =>
  tensors.map((tensor) => tensor.numbers().map((value) => value + 0));

describe("what is summed", () => {
  test("a value that is used three times", async () => {
    const model = modelOf(`(float[2] x) => (float[2] y) { a = Mul(x, x) b = Exp(x) c = Neg(x) y = Sum(a, b, c) }`);
    const { gradients } = await runGradients(model, [inputOf(model, "x")], { x: vector(0, 2) }, { dy: vector(1, 10) });
    expect(gradients[0]!.floats()[0]).toBeCloseTo(0 + 1 - 1, 6);
    expect(gradients[0]!.floats()[1]).toBeCloseTo(10 * (4 + Math.exp(2) - 1), 4);
  });

  test("twice the same input of one node", async () => {
    const model = modelOf(`(float[2] x) => (float[2] y) { y = Sub(x, x) }`);
    const { gradients } = await runGradients(model, [inputOf(model, "x")], { x: vector(1, 2) }, { dy: vector(3, 5) });
    expect(numbersOf(gradients)).toEqual([[0, 0]]);
  });

  test("a tied weight, the second time transposed", async () => {
    // loss = Σ (x W) Wᵀ: dW = xᵀ (1 W) + 1ᵀ (x W), 1 the row of ones
    const model = modelOf(`(float[1, 2] x) => (float loss)
      <float[2, 2] w = {1, 2, 3, 4}> {
        h = MatMul(x, w)
        t = Transpose <perm = [1, 0]> (w)
        y = MatMul(h, t)
        loss = ReduceSum <keepdims = 0> (y)
      }`);
    // The rule of Transpose belongs to another family; it is given here so that this test needs no other.
    const rules: typeof gradientRow = (node, opset) =>
      node.is("Transpose") ? { rule: (c) => [c.b.transpose(c.dy(), [1, 0])] } : gradientRow(node, opset);
    const feeds = { x: Tensor.float32([1, 2], [5, 7]) };
    const { gradients } = await runGradients(model, [initializerOf(model, "w")], feeds, { rules });
    const h = [5 * 1 + 7 * 3, 5 * 2 + 7 * 4];
    expect(numbersOf(gradients)).toEqual([[5 * 4 + h[0]!, 5 * 6 + h[1]!, 7 * 4 + h[0]!, 7 * 6 + h[1]!]]);
  });

  test("gradients of broadcast inputs have the inputs' dimensions", async () => {
    const model = modelOf(`(float[2, 3] x, float[1] s, float[2, 1] c, float z) => (float[2, 3] y) {
      a = Add(x, s) b = Add(a, c) y = Add(b, z)
    }`);
    const feeds = {
      x: Tensor.float32([2, 3], [0, 0, 0, 0, 0, 0]),
      s: vector(0),
      c: Tensor.float32([2, 1], [0, 0]),
      z: Tensor.scalar("float32", 0),
    };
    const dy = Tensor.float32([2, 3], [1, 2, 3, 4, 5, 6]);
    const { gradients } = await runGradients(model, [...model.graph.inputs], feeds, { dy });
    expect(gradients.map(({ dims }) => dims)).toEqual([[2, 3], [1], [2, 1], []]);
    expect(numbersOf(gradients)).toEqual([[1, 2, 3, 4, 5, 6], [21], [6, 15], [21]]);
  });
});

describe("what is reached", () => {
  const CHAIN = `(float[2] x, float[2] u) => (float loss)
    <float[2] w = {3, 4}, float[2] v = {1, 1}> {
      h = Mul(x, w)
      r = Relu(h)
      other = Mul(u, v)
      loss = ReduceSum <keepdims = 0> (r)
    }`;

  test("initializers, inputs, values in the middle, and the loss itself", async () => {
    const model = modelOf(CHAIN);
    const wrt = [initializerOf(model, "w"), inputOf(model, "x"), valueNamed(model, "h"), model.graph.outputs[0]!];
    const { gradients, result } = await runGradients(model, wrt, { x: vector(2, -5), u: vector(0, 0) });
    expect(numbersOf(gradients)).toEqual([[2, 0], [3, 0], [1, 0], [1]]);
    expect(result.unreached).toEqual([]);
    expect(result.frozen).toEqual([]);
  });

  test("zeros for what the loss does not depend on, and it is listed", async () => {
    const model = modelOf(CHAIN);
    const wrt = [initializerOf(model, "v"), initializerOf(model, "w"), valueNamed(model, "other")];
    const { gradients, result } = await runGradients(model, wrt, { x: vector(2, 5), u: vector(0, 0) });
    expect(numbersOf(gradients)).toEqual([
      [0, 0],
      [2, 5],
      [0, 0],
    ]);
    expect(result.unreached.map(({ name }) => name)).toEqual(["v", "other"]);
  });

  test("only the branch to what is asked is computed", async () => {
    const model = modelOf(CHAIN);
    const before = model.graph.size;
    await runGradients(model, [valueNamed(model, "r")], { x: vector(2, 5), u: vector(0, 0) });
    // One is a constant: its expansion and the output remain.
    expect(opCounts(model)).toMatchObject({ Expand: 1, Identity: 1 });
    expect(model.graph.size).toBe(before + 2);
  });

  test("nothing flows through integers and roundings, whatever is behind them", async () => {
    const model = modelOf(
      `(float[3] x) => (float[3] y) {
      i = Cast <to = 7> (x)
      two = Constant <value = int64 {2}> ()
      j = BitwiseNot (i)
      k = Mul (j, two)
      f = Cast <to = 1> (k)
      n = Floor (x)
      s = Shape (x)
      m = Cast <to = 1> (s)
      a = Mul (f, x)
      b = Mul (n, a)
      y = Mul (m, b)
    }`,
      18,
    );
    const { gradients } = await runGradients(
      model,
      [inputOf(model, "x")],
      { x: vector(1.5, 2.5, -0.5) },
      { dy: vector(1, 1, 1) },
    );
    // y = 3 · floor(x) · f · x with f = 2 · (−1 − trunc x)
    expect(numbersOf(gradients)).toEqual([[3 * 1 * -4, 3 * 2 * -6, 3 * -1 * -2]]);
  });

  test("casts between floats pass gradients on in the type of each value", async () => {
    const model = modelOf(
      `(float[2] x) => (float[2] y) { d = Cast <to = 11> (x) e = Mul(d, d) y = Cast <to = 1> (e) }`,
    );
    const { gradients } = await runGradients(model, [inputOf(model, "x")], { x: vector(1, 3) }, { dy: vector(1, 2) });
    expect(gradients[0]!.dtype).toBe("float32");
    expect(numbersOf(gradients)).toEqual([[2, 12]]);
  });

  test("roots at zero behind a rectifier give no NaN", async () => {
    const model = modelOf(`(float[3] x) => (float[3] y) { r = Relu(x) y = Sqrt(r) }`);
    const feeds = { x: vector(-1, 0, 4) };
    const { gradients } = await runGradients(model, [inputOf(model, "x")], feeds, { dy: vector(1, 1, 1) });
    expect(numbersOf(gradients)).toEqual([[0, 0, 0.25]]);
  });

  test("a fake quantizer with a reshape between its two nodes", async () => {
    const model = modelOf(`(float[4] x) => (float[2, 2] y)
      <float s = {0.5}, int8 z = {0}, int64[2] shape = {2, 2}> {
        q = QuantizeLinear(x, s, z)
        r = Reshape(q, shape)
        y = DequantizeLinear(r, s, z)
      }`);
    const rules: typeof gradientRow = (node, opset) =>
      node.is("Reshape") ? { rule: (c) => [c.b.reshape(c.dy(), c.dims(c.x(0)))] } : gradientRow(node, opset);
    const { gradients } = await runGradients(
      model,
      [inputOf(model, "x"), initializerOf(model, "s")],
      { x: vector(0.6, 100, -100, -0.1) },
      { dy: Tensor.float32([2, 2], [1, 2, 3, 4]), rules },
    );
    expect(gradients[0]!.numbers()).toEqual([1, 0, 0, 4]);
    // Inside: q − x/s; outside: the end of the range.
    const expected = 1 * (1 - 1.2) + 2 * 127 + 3 * -128 + 4 * (0 + 0.2);
    expect(gradients[1]!.floats()[0]).toBeCloseTo(expected, 4);
  });
});

describe("what is refused", () => {
  const WITHOUT_RULE = `(float[2, 2] x) => (float[1] loss)
    <float[2, 2] w = {4, 0, 0, 1}, float[1] v = {2}> {
      h = Mul(x, w)
      [inverse] d = Det(h)
      loss = Mul(d, v)
    }`;
  const shapesOf = (model: Model, entries: Readonly<Record<string, readonly number[]>>) =>
    new Map(
      Object.entries(entries).map(([name, dims]) => [
        [...model.graph.inputs, ...model.graph.initializers].find((value) => value.name === name) ??
          valueNamed(model, name),
        dims,
      ]),
    );

  test("an operator without a rule: node and operator are named", () => {
    const model = modelOf(`(float[2] x) => (float[2] y) { a = Exp(x) [odd] y = Unheard(a) }`);
    const loss = model.graph.outputs[0]!;
    const shapes = shapesOf(model, { x: [2], a: [2], y: [1] });
    expect(() => differentiate({ loss, wrt: [inputOf(model, "x")], shapes })).toThrow(UnsupportedError);
    expect(() => differentiate({ loss, wrt: [inputOf(model, "x")], shapes })).toThrow(/"odd".*Unheard/);
  });

  test("one that may not be asked: with the reason", () => {
    const model = modelOf(WITHOUT_RULE);
    const shapes = shapesOf(model, { x: [2, 2], h: [2, 2], d: [], loss: [1], w: [2, 2], v: [1] });
    const ask = () => differentiate({ loss: model.graph.outputs[0]!, wrt: [initializerOf(model, "w")], shapes });
    expect(ask).toThrow(/"inverse".*determinants/);
  });

  test("frozen where asked: what is behind it still trains", async () => {
    const model = modelOf(WITHOUT_RULE);
    const wrt = [initializerOf(model, "w"), initializerOf(model, "v")];
    const feeds = { x: Tensor.float32([2, 2], [1, 1, 1, 1]) };
    const { gradients, result } = await runGradients(model, wrt, feeds, { missing: "freeze" });
    expect(numbersOf(gradients)).toEqual([[0, 0, 0, 0], [4]]);
    expect(result.unreached).toEqual([wrt[0]]);
    expect(result.frozen).toEqual([{ node: nodeOf(model, "d"), reason: expect.stringMatching(/determinants/) }]);
  });

  test("not asked where nothing wanted is before it", async () => {
    const model = modelOf(WITHOUT_RULE);
    const feeds = { x: Tensor.float32([2, 2], [1, 1, 1, 1]) };
    const { gradients, result } = await runGradients(model, [initializerOf(model, "v")], feeds);
    expect(numbersOf(gradients)).toEqual([[4]]);
    expect(result.frozen).toEqual([]);
  });

  test("an attribute that a rule does not support freezes too", async () => {
    const model = modelOf(`(float[2, 2] x) => (float loss) <float[2, 2] w = {1, 2, 3, 4}> {
      h = Mul(x, w)
      loss = Einsum <equation = "ii->"> (h)
    }`);
    const wrt = [initializerOf(model, "w")];
    const feeds = { x: Tensor.float32([2, 2], [1, 1, 1, 1]) };
    await expect(runGradients(model, wrt, feeds)).rejects.toThrow(/Einsum-12.*diagonal "ii"/);
    const { result } = await runGradients(model, wrt, feeds, { missing: "freeze" });
    expect(result.frozen.map(({ reason }) => reason)).toEqual([expect.stringMatching(/diagonal/)]);
  });

  test("a loss with several elements, unless its gradient is given", async () => {
    const model = modelOf(`(float[2] x) => (float[2] y) { y = Exp(x) }`);
    const feeds = { x: vector(0, 0) };
    await expect(runGradients(model, [inputOf(model, "x")], feeds)).rejects.toThrow(/expected one element.*\[2\]/);
    const { gradients } = await runGradients(model, [inputOf(model, "x")], feeds, { dy: vector(2, 3) });
    expect(numbersOf(gradients)).toEqual([[2, 3]]);
  });

  test("values of unknown dimensions", () => {
    const model = modelOf(`(float[2] x) => (float y) { h = Exp(x) y = ReduceSum <keepdims = 0> (h) }`);
    const ask = () => differentiate({ loss: model.graph.outputs[0]!, wrt: [inputOf(model, "x")], shapes: new Map() });
    expect(ask).toThrow(GraphError);
    expect(ask).toThrow(/"y".*known dimensions/);
  });
});
