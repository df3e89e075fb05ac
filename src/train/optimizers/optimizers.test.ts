import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesOf, modelOf, runtimes } from "../../../test/helpers.ts";
import { createState } from "../../runtime/stateful.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { buildTraining, TRAINING_SESSION } from "../build.ts";
import type { TrainingInput } from "../options.ts";
import { GRADIENT_NORM, GRADIENT_SCALE, LEARNING_RATE, LOSS } from "../program.ts";
import { OPTIMIZERS } from "./optimizers.ts";

interface Parameters {
  readonly weight: readonly number[];
  readonly bias: readonly number[];
}

interface Case extends Parameters {
  readonly name: string;
  readonly options: Omit<TrainingInput, "losses">;
  readonly losses: readonly number[];
  readonly norms?: readonly number[];
  readonly ema?: Parameters;
}

const reference = JSON.parse(
  readFileSync(new URL("../../../test/reference/optimizers.json", import.meta.url), "utf8"),
) as Parameters & {
  batches: readonly { x: readonly number[]; t: readonly number[] }[];
  rates: readonly number[];
  cases: readonly Case[];
};

/** Ten steps in float32 against float64. */
const BOUND = 1e-5;

const scalar = (value: number): Tensor => Tensor.scalar("float32", value);

async function run({ options }: Case) {
  const { weight, bias, batches, rates } = reference;
  const model = modelOf(`(float[N, 3] x) => (float[N, 2] y)
    <float[3, 2] weight = {${weight.join(", ")}}, float[2] bias = {${bias.join(", ")}}> { y = Gemm(x, weight, bias) }`);
  const runtime = await runtimes.node();
  const feeds = batches.map(({ x, t }) => ({ x: Tensor.float32([4, 3], x), label: Tensor.float32([4, 2], t) }));
  const program = await buildTraining(model, { losses: [{ kind: "mse" }], ...options }, { runtime, feeds: feeds[0]! });
  const store = await createState(runtime, program.state);
  const step = await store.load({ bytes: bytesOf(program.step) }, TRAINING_SESSION);
  const accumulate = program.accumulate && (await store.load({ bytes: bytesOf(program.accumulate) }, TRAINING_SESSION));
  const losses: number[] = [];
  const norms: number[] = [];
  const perUpdate = accumulate ? 2 : 1;
  for (const [i, rate] of rates.entries()) {
    if (accumulate) await accumulate.step(feeds[perUpdate * i]!);
    const results = await step.step({
      ...feeds[perUpdate * i + perUpdate - 1],
      [LEARNING_RATE]: scalar(rate),
      ...(accumulate && { [GRADIENT_SCALE]: scalar(0.5) }),
    });
    losses.push(results[LOSS]!.numbers()[0]!);
    norms.push(results[GRADIENT_NORM]?.numbers()[0] ?? Number.NaN);
  }
  const state = await store.snapshot();
  await store.release();
  return { losses, norms, state };
}

describe("optimizers equal PyTorch's after ten steps", () => {
  for (const test of reference.cases) {
    it(`${test.options.optimizer?.kind}: ${test.name}`, async () => {
      const { losses, norms, state } = await run(test);
      const near = (found: readonly number[] | Float32Array, wanted: readonly number[]): void => {
        expect(found.length).toBe(wanted.length);
        wanted.forEach((value, i) => {
          expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(BOUND * Math.max(1, Math.abs(value)));
        });
      };
      near(state.get("weight")!.floats(), test.weight);
      near(state.get("bias")!.floats(), test.bias);
      near(losses, test.losses);
      if (test.norms) near(norms, test.norms);
      if (test.ema) {
        near(state.get("weight/ema")!.floats(), test.ema.weight);
        near(state.get("bias/ema")!.floats(), test.ema.bias);
      }
      expect(state.get("train/updates")!.numbers()).toEqual([reference.rates.length]);
    });
  }

  it("every optimizer has a case", () => {
    const kinds = reference.cases.map(({ options }) => options.optimizer?.kind);
    expect(new Set(kinds)).toEqual(new Set(OPTIMIZERS.map(({ kind }) => kind)));
  });
});
