import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesOf, modelOf, runtimes } from "../../../test/helpers.ts";
import { elementCount } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { buildTraining, TRAINING_SESSION } from "../build.ts";
import type { TrainingInput } from "../options.ts";
import { LEARNING_RATE, LOSS } from "../program.ts";
import { LOSSES, lossOptions } from "./losses.ts";

interface Data {
  readonly dims: readonly number[];
  readonly data: readonly number[];
  readonly int?: boolean;
}

interface Case {
  readonly name: string;
  readonly options: TrainingInput["losses"][number];
  readonly model: "identity" | "softmax" | "sigmoid";
  readonly z: Data;
  readonly feeds: Readonly<Record<string, Data>>;
  readonly loss: number;
  readonly gradient: readonly number[];
}

const { cases } = JSON.parse(readFileSync(new URL("../../../test/reference/losses.json", import.meta.url), "utf8")) as {
  cases: readonly Case[];
};

/** What float32 sums of a few dozen terms lose against float64. */
const BOUND = 2e-6;

/** z is a parameter: with plain descent at rate 1 it moves by its gradient. */
async function run({ options, model, z, feeds }: Case): Promise<{ loss: number; gradient: Float32Array }> {
  const last = { identity: "Identity(s)", softmax: "Softmax(s)", sigmoid: "Sigmoid(s)" }[model];
  const zeros = new Array(elementCount(z.dims)).fill(0).join(", ");
  const forward = modelOf(
    `(float[${z.dims}] x) => (float[${z.dims}] y) <float[${z.dims}] z = {${zeros}}> { s = Add(x, z) y = ${last} }`,
  );
  const runtime = await runtimes.node();
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data, int }]) => [
      name,
      int ? Tensor.int64(dims, data) : Tensor.float32(dims, data),
    ]),
  );
  const x = Tensor.float32(z.dims, z.data);
  const program = await buildTraining(
    forward,
    { losses: [options], train: ["z"] },
    { runtime, feeds: { x, ...tensors } },
  );
  const session = await runtime.load({ bytes: bytesOf(program.step) }, TRAINING_SESSION);
  const rate = { [LEARNING_RATE]: Tensor.scalar("float32", 1) };
  const results = await session.run({
    x,
    ...tensors,
    ...rate,
    ...Object.fromEntries(program.state.map(({ input, initial }) => [input, initial])),
  });
  await session.release();
  return { loss: results[LOSS]!.floats()[0]!, gradient: results["z/next"]!.floats().map((v) => -v) };
}

describe("losses equal PyTorch's", () => {
  for (const test of cases) {
    it(`${test.options.kind}: ${test.name}`, async () => {
      const { loss, gradient } = await run(test);
      expect(Math.abs(loss - test.loss)).toBeLessThanOrEqual(BOUND * Math.max(1, Math.abs(test.loss)));
      const size = Math.hypot(...test.gradient);
      const error = Math.hypot(...test.gradient.map((g, i) => g - gradient[i]!));
      expect(error).toBeLessThanOrEqual(BOUND * size);
    });
  }

  it("squares are measured by the targets' variance where they are relative", async () => {
    const [z, t] = [
      { dims: [2, 2], data: [1, 2, 3, 4] },
      { dims: [2, 2], data: [1, 3, 5, 7] },
    ];
    const options = { kind: "mse", relative: true } as const;
    const { loss, gradient } = await run({
      name: "",
      options,
      model: "identity",
      z,
      feeds: { label: t },
      loss: 0,
      gradient: [],
    });
    // Differences 0, −1, −2, −3: 14 / 4. The targets' variance is 5, and 10⁻⁶ is added to it. d/dz = 2 (z − t) / 4 / 5.
    expect(loss).toBeCloseTo(3.5 / 5, 5);
    [0, -0.1, -0.2, -0.3].forEach((expected, i) => {
      expect(gradient[i]).toBeCloseTo(expected, 5);
    });
  });

  it("every loss has a case", () => {
    expect(new Set(cases.map(({ options }) => options.kind))).toEqual(new Set(LOSSES.map(({ kind }) => kind)));
    expect(lossOptions.options.length).toBe(LOSSES.length);
  });
});
