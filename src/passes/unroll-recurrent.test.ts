/**
 * @file Unrolled layers against ONNX Runtime's own LSTM, GRU and RNN, in every variant that is unrolled.
 */
import { describe, expect, it } from "vitest";
import { bytesOf, compareAll, modelOf, opCounts, runAll, runtimes, samplesFor } from "../../test/helpers.ts";
import { runStep } from "../step/run.ts";
import { unrollRecurrent } from "./unroll-recurrent.ts";

const [STEPS, BATCH, FEATURES, HIDDEN] = [7, 3, 5, 4];
const GATES = { LSTM: 4, GRU: 3, RNN: 1 } as const;
type Op = keyof typeof GATES;

/**
 * Largest difference relative to the largest element: values are at most 1 and a step rounds a sum of ten products and
 * what its kernels approximate (10 units in the last place) seven times over.
 */
const TOLERANCE = 7 * 10 * 2 ** -24;

interface Variant {
  readonly op: Op;
  readonly direction?: "forward" | "reverse" | "bidirectional";
  readonly bias?: boolean;
  readonly states?: boolean;
  readonly attributes?: string;
}

function text({ op, direction = "forward", bias = true, states = true, attributes = "" }: Variant): string {
  const d = direction === "bidirectional" ? 2 : 1;
  const width = GATES[op] * HIDDEN;
  const state = `float[${d}, ${BATCH}, ${HIDDEN}]`;
  const outputs = op === "LSTM" ? ["y", "yh", "yc"] : ["y", "yh"];
  const inputs = `float[${STEPS}, ${BATCH}, ${FEATURES}] x, ${state} h0${op === "LSTM" ? `, ${state} c0` : ""}`;
  const given = states ? `, , h0${op === "LSTM" ? ", c0" : ""}` : "";
  const unused = states ? [] : op === "LSTM" ? ["h0", "c0"] : ["h0"];
  return `(${inputs}) => (float[${STEPS}, ${d}, ${BATCH}, ${HIDDEN}] y, ${[
    ...outputs.slice(1),
    ...unused.map((name) => `${name}_out`),
  ]
    .map((name) => `${state} ${name}`)
    .join(", ")})
    <float[${d}, ${width}, ${FEATURES}] w = random(1), float[${d}, ${width}, ${HIDDEN}] r = random(2), float[${d}, ${2 * width}] b = random(3)> {
      ${outputs.join(", ")} = ${op} <hidden_size = ${HIDDEN}, direction = "${direction}"${attributes}> (x, w, r, ${bias ? "b" : ""}${given})
      ${unused.map((name) => `${name}_out = Neg(${name})`).join("  ")}
    }`;
}

const VARIANTS: readonly Variant[] = [
  { op: "LSTM" },
  { op: "LSTM", direction: "reverse" },
  { op: "LSTM", direction: "bidirectional" },
  { op: "LSTM", bias: false, states: false },
  {
    op: "LSTM",
    direction: "bidirectional",
    states: false,
    attributes: ', activations = ["sigmoid", "tanh", "tanh", "Sigmoid", "Tanh", "Tanh"]',
  },
  { op: "GRU" },
  { op: "GRU", direction: "reverse", bias: false },
  { op: "GRU", direction: "bidirectional", states: false },
  { op: "GRU", attributes: ", linear_before_reset = 1" },
  { op: "GRU", direction: "reverse", bias: false, states: false, attributes: ", linear_before_reset = 1" },
  { op: "GRU", direction: "bidirectional", attributes: ", linear_before_reset = 1" },
  { op: "RNN", direction: "bidirectional" },
  { op: "RNN", bias: false, states: false },
  { op: "RNN", direction: "bidirectional", attributes: ', activations = ["Relu", "Tanh"]' },
];

describe("unroll-recurrent", () => {
  it.each(VARIANTS)("$op $direction bias $bias states $states$attributes", async (variant) => {
    const original = modelOf(text(variant));
    const model = modelOf(text(variant));
    const report = await runStep(model, unrollRecurrent, {});
    expect(report.leftAlone).toEqual([]);
    expect(report.changed).toBe(1);
    expect(opCounts(model)).not.toHaveProperty(variant.op);
    // The weights are the ones that were there.
    for (const name of ["w", "r"]) {
      expect([...model.graph.initializers].some((value) => value.name === name)).toBe(true);
    }
    const node = await runtimes.node();
    const { samples } = await samplesFor(original, { count: 2 });
    const reference = await runAll(node, bytesOf(original), samples);
    for (const output of compareAll(reference, await runAll(node, bytesOf(model), samples))) {
      expect(output).toMatchObject({ kind: "float" });
      if (output.kind === "float") expect(output.relative, output.name).toBeLessThanOrEqual(TOLERANCE);
    }
  });

  it("leaves sequences beyond the limit alone", async () => {
    const model = modelOf(text({ op: "GRU" }));
    const report = await runStep(model, unrollRecurrent, { limit: STEPS - 1 });
    expect(report.changed).toBe(0);
    expect(report.leftAlone?.[0]?.reason).toContain("7 steps");
  });
});
