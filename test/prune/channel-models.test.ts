/**
 * @file Channel pruning of whole nets, at 10, 30 and 50 %: the result loads and runs on both runtimes, also at sizes that were
 * not observed, equals the masked original, and is as much smaller as it says.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { elementCount } from "../../src/tensor/dtype.ts";
import { isFloatingPoint } from "../../src/tensor/tensor.ts";
import { bytesOf, runAll, runtimes } from "../helpers.ts";
import { differenceOf, pruneAndCompare, SAME, sizesOf } from "./channels.ts";
import { NETS } from "./nets.ts";

describe.each(Object.entries(NETS))("%s", (_name, net) => {
  const original = net.build(1);
  const samples = [net.feeds(1), net.feeds(2, true)];
  let shapes: ReadonlyMap<string, readonly number[]>;

  beforeAll(async () => {
    shapes = await sizesOf(original, await runtimes.node(), samples[0]!);
  });

  it.each([0.1, 0.3, 0.5])("at %d equals its masked original", async (amount) => {
    const node = await runtimes.node();
    const { result, model, difference, change } = await pruneAndCompare(original, { amount }, node, samples, {
      shapes,
    });
    expect(difference).toBeLessThan(SAME);
    expect(change).toBeGreaterThan(10 * SAME);
    expect(result.removed.length).toBeGreaterThan(0);
    const total = [...result.removed, ...result.kept].reduce((sum, group) => sum + group.channels * group.unit, 0);
    const gone = result.removed.reduce((sum, group) => sum + group.removed * group.unit, 0);
    expect(gone / total).toBeGreaterThanOrEqual(amount);
    // The parameters that are left are those of the file.
    const constants = [...model.graph.initializers].filter((value) => isFloatingPoint(value.dtype));
    expect(constants.reduce((sum, value) => sum + elementCount(value.constant!.dims), 0)).toBe(result.parametersAfter);
    expect(result.macsAfter).toBeLessThan(result.macsBefore);
    if (amount !== 0.3) return;
    const [a, b] = [
      await runAll(node, bytesOf(model), samples),
      await runAll(await runtimes.web(), bytesOf(model), samples),
    ];
    expect(differenceOf(a, b)).toBeLessThan(SAME);
  });
});
