/**
 * @file Gradients against PyTorch's where differences show nothing: at kinks, ties and zeros, at extreme values, and of fake
 * quantizers (test/reference/gradients.json, made by scripts/reference/gradients.py).
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Attributes } from "../../src/graph/builder.ts";
import { Model } from "../../src/graph/model.ts";
import { irVersionFor } from "../../src/graph/ops/versions.ts";
import type { Value } from "../../src/graph/value.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { runGradients } from "./run.ts";

/** Of zero points; of four bits there is one, in one byte. */
const ARRAYS = { uint8: Uint8Array, int8: Int8Array, int4: Int8Array, int16: Int16Array } as const;

/** Infinite values are strings. */
type Numbers = readonly (number | string)[];

interface TensorRecord {
  readonly dims: readonly number[];
  readonly values: Numbers;
}

interface NodeRecord {
  readonly op: string;
  readonly name: string;
  readonly opset: number;
  readonly attributes: Attributes;
  readonly inputs: readonly ((TensorRecord & { readonly fixed: boolean }) | null)[];
  readonly ints?: readonly number[];
  readonly dy: TensorRecord;
  readonly gradients: readonly (Numbers | null)[];
}

interface FakeQuantizerRecord {
  readonly name: string;
  readonly opset: number;
  readonly dtype: keyof typeof ARRAYS;
  readonly axis: number | null;
  readonly x: TensorRecord;
  readonly scale: TensorRecord;
  readonly zeroPoint: readonly number[];
  readonly dy: TensorRecord;
  readonly y: Numbers;
  readonly dx: Numbers;
  readonly dscale: Numbers;
}

const { nodes, fakeQuantizers } = JSON.parse(
  readFileSync(new URL("../reference/gradients.json", import.meta.url), "utf8"),
) as { readonly nodes: readonly NodeRecord[]; readonly fakeQuantizers: readonly FakeQuantizerRecord[] };

/** A few float32 roundings of the largest part of a sum, and what approximations of erf and tanh differ by. */
const RELATIVE = 2e-6;

const tensor = ({ dims, values }: TensorRecord): Tensor => Tensor.float32(dims, values.map(Number));

function expectClose(actual: Tensor, expected: Numbers, what: string): void {
  const numbers = expected.map(Number);
  const largest = Math.max(1, ...numbers.map(Math.abs));
  expect(actual.size, what).toBe(numbers.length);
  actual.floats().forEach((value, i) => {
    expect(Math.abs(value - numbers[i]!), `${what}, element ${i}: ${value}, ${numbers[i]}`).toBeLessThanOrEqual(
      RELATIVE * largest,
    );
  });
}

function modelOf(opset: number): Model {
  const model = new Model();
  model.opset = opset;
  model.irVersion = irVersionFor(opset);
  return model;
}

function addInput({ graph }: Model, name: string, { dims }: TensorRecord): Value {
  const value = graph.newValue(name);
  value.setTensorType("float32", dims);
  graph.inputs.push(value);
  return value;
}

describe("operators", () => {
  test.each(nodes.map((record) => [`${record.op} ${record.name}`, record] as const))("%s", async (_, record) => {
    const model = modelOf(record.opset);
    const { graph } = model;
    const feeds: Record<string, Tensor> = {};
    const inputs = record.inputs.map((input, i) => {
      if (input === null) return undefined;
      if (input.fixed) return graph.addInitializer(`x${i}`, tensor(input));
      feeds[`x${i}`] = tensor(input);
      return addInput(model, `x${i}`, input);
    });
    if (record.ints) inputs.push(graph.addInitializer("ints", Tensor.int64([record.ints.length], record.ints)));
    graph.setOutputs([graph.add(record.op, inputs, { attributes: record.attributes }).output()]);
    const asked = record.gradients.flatMap((gradient, i) => (gradient === null ? [] : [{ gradient, i }]));
    const { gradients } = await runGradients(
      model,
      asked.map(({ i }) => inputs[i]!),
      feeds,
      { dy: tensor(record.dy) },
    );
    asked.forEach(({ gradient, i }, index) => {
      expectClose(gradients[index]!, gradient, `input ${i}`);
    });
  });
});

describe("fake quantizers", () => {
  test.each(fakeQuantizers.map((record) => [record.name, record] as const))("%s", async (_, record) => {
    const model = modelOf(record.opset);
    const { graph } = model;
    const x = addInput(model, "x", record.x);
    const scale = addInput(model, "scale", record.scale);
    const zeroPoint = graph.addInitializer(
      "zero",
      Tensor.of(record.dtype, record.scale.dims, ARRAYS[record.dtype].from(record.zeroPoint)),
    );
    const attributes: Attributes = record.axis === null ? {} : { axis: { int: record.axis } };
    const q = graph.add("QuantizeLinear", [x, scale, zeroPoint], { attributes }).output();
    graph.setOutputs([graph.add("DequantizeLinear", [q, scale, zeroPoint], { attributes }).output()]);
    const { gradients, outputs } = await runGradients(
      model,
      [x, scale],
      { x: tensor(record.x), scale: tensor(record.scale) },
      { dy: tensor(record.dy) },
    );
    expectClose(outputs[graph.outputs[0]!.name]!, record.y, "y");
    expectClose(gradients[0]!, record.dx, "dx");
    expectClose(gradients[1]!, record.dscale, "dscale");
  });
});
