/**
 * @file Tersor's side: quantizes one file as its JSON argument says (`{ model, options }`) and prints a {@link ChildReply}.
 */
import type { QuantizeFileOptions } from "../src/recipe/quantize-file.ts";
import { type ChildReply, residentBytes } from "./child-process.ts";

const { model, options } = JSON.parse(process.argv[2]!) as { model: string; options: QuantizeFileOptions };
const { quantizeFile } = await import("../src/recipe/quantize-file.ts");
// The peer's `import onnxruntime` comes before its clock starts, too.
await import("onnxruntime-node");
const { now: baseBytes } = residentBytes();
const start = performance.now();
const result = await quantizeFile(model, { ...options, check: false });
const seconds = (performance.now() - start) / 1000;
const left = (result.report.leftAlone ?? []).map(({ reason }) => reason.replaceAll(/\d+(\.\d+)?/g, "n"));
const reasons = new Map<string, number>();
for (const reason of left) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
const reply: ChildReply & { readonly leftAlone: readonly string[] } = {
  seconds,
  baseBytes,
  peakBytes: residentBytes().peak,
  notes: [
    ...(result.report.changes ?? [`${result.report.changed} weights stored in 8 bits`]),
    ...[...reasons].map(([reason, count]) => `left alone: ${count} × ${reason}`),
  ],
  leftAlone: (result.report.leftAlone ?? []).map(({ subject }) => subject),
};
console.log(JSON.stringify(reply));
// Not waiting for pools and timers of the runtime to end.
process.exit(0);
