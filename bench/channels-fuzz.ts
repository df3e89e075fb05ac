/**
 * @file Hundreds of random nets with some of their channels gone, against their masked originals.
 *
 *   npx tsx bench/channels-fuzz.ts [--from 0] [--count 500]
 *
 * Prints the seeds that differ by more than 1e-4 of the largest magnitude, and exits with 1 where there are any.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../src/util/errors.ts";
import { runtimes } from "../test/helpers.ts";
import { pruneAndCompare, SAME } from "../test/prune/channels.ts";
import { randomCase } from "../test/prune/random-graph.ts";

const { values: flags } = parseArgs({
  options: { from: { type: "string", default: "0" }, count: { type: "string", default: "500" } },
});
const [from, count] = [Number(flags.from), Number(flags.count)];
const runtime = await runtimes.node();
const failed: number[] = [];
let worst = 0;
let groups = 0;
let unchanged = 0;
for (let seed = from; seed < from + count; seed++) {
  const { model, options, samples } = randomCase(seed);
  try {
    const { result, difference } = await pruneAndCompare(model, options, runtime, samples);
    groups += result.removed.length;
    if (result.removed.length === 0) unchanged++;
    worst = Math.max(worst, difference);
    if (difference < SAME) continue;
    console.log(`net ${seed}: differs by ${difference}`);
  } catch (error) {
    console.log(`net ${seed}: ${messageOf(error)}`);
  }
  failed.push(seed);
}
console.log(
  `${count} nets from seed ${from}: ${groups} groups shrank, ${unchanged} nets had nothing to remove; ` +
    `largest difference ${worst.toExponential(1)}; ${failed.length} failed`,
);
if (failed.length > 0) process.exitCode = 1;
