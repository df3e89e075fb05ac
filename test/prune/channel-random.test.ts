/**
 * @file Random nets, pruned, equal their masked originals. `bench/channels-fuzz.ts` does the same with hundreds.
 */
import { expect, it } from "vitest";
import { runtimes } from "../helpers.ts";
import { pruneAndCompare, SAME } from "./channels.ts";
import { randomCase } from "./random-graph.ts";

/** Of each, all that may go goes in one part of the nets: nothing is hidden by multiples and minima. */
const COUNT = 40;

it(`equal their masked originals (${COUNT} nets)`, async () => {
  const runtime = await runtimes.node();
  let shrunk = 0;
  for (let seed = 0; seed < COUNT; seed++) {
    const { model, options, samples } = randomCase(seed);
    const { result, difference } = await pruneAndCompare(model, options, runtime, samples);
    expect(difference, `net ${seed}`).toBeLessThan(SAME);
    if (result.removed.length > 0) shrunk++;
  }
  expect(shrunk).toBeGreaterThan(0.9 * COUNT);
});
