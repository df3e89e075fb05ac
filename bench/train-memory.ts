/**
 * @file How much memory training takes, and how much the estimate said: growth of the largest resident size of a fresh process
 * per net, with AdamW, a validation and, for recognition, a teacher.
 *
 *   npx tsx bench/train-memory.ts [--net lenet5 …] [--rounds 3]
 */
import { parseArgs } from "node:util";
import { runTypeScript } from "./child-process.ts";
import { quantile, report } from "./report.ts";
import type { Reply, Spec } from "./train-memory-child.ts";

const { values: flags } = parseArgs({
  options: { net: { type: "string", multiple: true }, rounds: { type: "string", default: "3" } },
});

/** Estimate ÷ what was taken: hardly too low, and not far too high. */
const BOUNDS = [0.9, 1.5] as const;

const options: Omit<Spec["options"], "losses"> = { optimizer: { kind: "adamw" }, metric: "loss" };
const labelled: Spec["options"] = { ...options, losses: [{ kind: "cross-entropy" }], batchNorm: "batch-statistics" };
const distilled: Spec["options"] = { ...options, losses: [{ kind: "mse", target: "teacher" }] };
const SPECS: readonly Spec[] = [
  { net: "mlp", batch: 128, options: labelled },
  { net: "lenet5", batch: 128, options: labelled },
  { net: "resnet20", batch: 64, options: labelled },
  { net: "mobilenet", batch: 32, options: labelled },
  { net: "transformer", batch: 32, options: labelled },
  { net: "recognition", batch: 8, options: distilled },
];

const results: (Reply & { readonly net: string; readonly batch: number; readonly ratio: number })[] = [];
for (const spec of SPECS.filter(({ net }) => flags.net?.includes(net) ?? true)) {
  const replies: Reply[] = [];
  for (let round = 0; round < Number(flags.rounds); round++) {
    const reply = await runTypeScript<Reply>(new URL("./train-memory-child.ts", import.meta.url), spec);
    if ("error" in reply) throw new Error(`bench: ${spec.net}: ${reply.error}`);
    replies.push(reply);
  }
  const median = (key: "baseBytes" | "builtBytes" | "steppedBytes" | "peakBytes"): number =>
    Math.round(quantile(replies.map((reply) => reply[key])));
  const { estimate } = replies[0]!;
  const peakBytes = median("peakBytes");
  results.push({
    net: spec.net,
    batch: spec.batch,
    estimate,
    baseBytes: median("baseBytes"),
    builtBytes: median("builtBytes"),
    steppedBytes: median("steppedBytes"),
    peakBytes,
    ratio: estimate.peak / peakBytes,
  });
}
const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
report(
  "train-memory",
  {
    units:
      "bytes; peakBytes: growth of VmHWM from before training to its end, median of rounds; ratio: estimate.peak / peakBytes",
    bounds: BOUNDS,
    rounds: Number(flags.rounds),
    optimizer: "AdamW",
  },
  results.map(({ net, batch, estimate, peakBytes, ratio }) => ({
    net,
    batch,
    "MB estimate": megabytes(estimate.peak),
    "MB of a step": megabytes(estimate.working),
    "MB taken": megabytes(peakBytes),
    ratio: Number(ratio.toFixed(2)),
    bounds: ratio >= BOUNDS[0] && ratio <= BOUNDS[1] ? "kept" : "MISSED",
  })),
  results,
);
