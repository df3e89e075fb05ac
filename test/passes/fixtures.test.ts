/**
 * @file Runs every pass on its fixtures: structure, idempotence, invariants, the round trip, and the same results in
 * ONNX Runtime.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/graph/model.ts";
import { checkParametrizations } from "../../src/graph/parametrizations.ts";
import { verifyModel } from "../../src/graph/verify.ts";
import { CLEAN_UP } from "../../src/passes/clean-up.ts";
import { expandFused } from "../../src/passes/expand-fused.ts";
import { inlineIf } from "../../src/passes/inline-if.ts";
import { specialize } from "../../src/passes/specialize.ts";
import { unrollRecurrent } from "../../src/passes/unroll-recurrent.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";
import { runStep } from "../../src/step/run.ts";
import type { Step, StepReport } from "../../src/step/step.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { bytesOf, compareAll, reload, runAll, runtimes, samplesFor } from "../helpers.ts";
import { canonical } from "./canonical.ts";
import { type Fixture, readFixtures } from "./fixture.ts";

const PASSES: ReadonlyMap<string, Step> = new Map(
  [...CLEAN_UP, specialize, inlineIf, unrollRecurrent, expandFused].map((step) => [step.name, step as unknown as Step]),
);
const FIXTURES = readFixtures();
const SAMPLES = 2;

async function apply(model: Model, { pass, options }: Fixture): Promise<StepReport> {
  const step = PASSES.get(pass);
  if (step === undefined) throw new Error(`no pass "${pass}"`);
  return runStep(model, step, options, { runtime: await runtimes.node() });
}

/** Inputs that take both ways at every switch. */
async function feedsFor(model: Model, { test }: Fixture): Promise<Tensors[]> {
  const { dims, vocabulary } = test;
  const { samples } = await samplesFor(model, { count: SAMPLES, dims, vocabulary });
  const flip = (tensor: Tensor): Tensor =>
    tensor.dtype === "bool" && tensor.size === 1 ? Tensor.of("bool", tensor.dims, Uint8Array.of(1)) : tensor;
  const flipped = samples.map((sample) =>
    Object.fromEntries(Object.entries(sample).map(([name, tensor]) => [name, flip(tensor)])),
  );
  return [...samples, ...flipped];
}

describe.each([...PASSES.keys()])("%s", (pass) => {
  for (const fixture of FIXTURES.filter((item) => item.pass === pass)) {
    it(fixture.name, async () => {
      const before = fixture.before();
      verifyModel(before);
      const model = fixture.before();
      const report = await apply(model, fixture);
      const expected = (fixture.after ?? fixture.before)();
      verifyModel(expected);

      expect(canonical(model)).toBe(canonical(expected));
      expect(report.changed > 0, `changed ${report.changed}`).toBe(fixture.after !== undefined);
      const reasons = Object.fromEntries((report.leftAlone ?? []).map(({ subject, reason }) => [subject, reason]));
      const wanted = Object.entries(fixture.test.leftAlone ?? {}).map(([name, text]) => [
        name,
        expect.stringContaining(text),
      ]);
      expect(reasons).toMatchObject(Object.fromEntries(wanted));
      if (fixture.after === undefined) expect(bytesOf(model)).toEqual(bytesOf(before));

      // The round trip.
      const bytes = bytesOf(model);
      const loaded = reload(model);
      verifyModel(loaded);
      checkParametrizations(loaded);
      expect(bytesOf(loaded)).toEqual(bytes);
      expect(canonical(loaded)).toBe(canonical(model));

      // Once more changes nothing.
      expect((await apply(loaded, fixture)).changed).toBe(0);
      expect(bytesOf(loaded)).toEqual(bytes);

      if (fixture.test.notRun !== undefined) return;
      // The same results, as written and as the runtime optimizes it.
      const node = await runtimes.node();
      const feeds = await feedsFor(before, fixture);
      const reference = await runAll(node, bytesOf(before), feeds, { graphOptimization: "disabled" });
      for (const graphOptimization of ["disabled", "all"] as const) {
        const tolerance =
          graphOptimization === "all"
            ? Math.max(fixture.test.tolerance ?? 0, OPTIMIZED)
            : (fixture.test.tolerance ?? 0);
        for (const output of compareAll(reference, await runAll(node, bytes, feeds, { graphOptimization }))) {
          if (output.kind === "float") expect(output.relative, `${output.name}`).toBeLessThanOrEqual(tolerance);
          else expect(output).toMatchObject({ kind: "exact", equal: 1 });
        }
      }
    });
  }
});

/** Other kernels add in another order: sums of up to a hundred products in float32. */
const OPTIMIZED = 1e-5;

describe("fixtures", () => {
  it("are there for every pass, one with a mask for each", () => {
    const folder = new URL("../../src/passes/", import.meta.url);
    const written = readdirSync(folder)
      .filter((file) => !file.endsWith(".test.ts"))
      .map((file) => readFileSync(new URL(file, folder), "utf8").match(/defineStep\(\{\s*name: "([^"]+)"/)?.[1])
      .filter((name) => name !== undefined);
    expect(written.sort()).toEqual([...PASSES.keys()].sort());
    expect([...new Set(FIXTURES.map(({ pass }) => pass))].sort()).toEqual([...PASSES.keys()].sort());
    for (const pass of PASSES.keys()) {
      const masked = FIXTURES.filter((fixture) => fixture.pass === pass && fixture.before().parametrizations.size > 0);
      expect(masked.length, `fixtures of ${pass} with a mask`).toBeGreaterThan(0);
    }
  });

  it("have no two with the same reason to be there", () => {
    const reasons = FIXTURES.map(({ pass, why }) => `${pass}: ${why}`);
    expect(new Set(reasons).size).toBe(reasons.length);
  });
});
