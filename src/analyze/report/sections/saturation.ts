/**
 * @file What x86 processors without VNNI would make of 8-bit products.
 */
import type { Machine } from "../../../measure/machine.ts";
import { type SaturationScan, saturationNote } from "../../../quantize/saturation/scan.ts";
import type { TargetName } from "../../../runtime/targets.ts";
import type { SaturationFinding } from "../../../step/step.ts";
import { formatCount } from "../../../util/format.ts";
import type { TargetMeasurement } from "../../job.ts";
import { shareText, shortDecibels } from "../../measurement-text.ts";
import { html, name } from "../html.ts";
import { type Section, table } from "../page.ts";

/** Those on which something was run. */
export function measuredTargets(targets: readonly TargetMeasurement[]): TargetName[] {
  return targets.flatMap(({ target, samples }) => (samples === undefined ? [] : [target]));
}

/** @param scan of the weights in the file; undefined: not looked for. @param findings on calibration data. */
export function saturationSection(
  scan: SaturationScan | undefined,
  findings: readonly SaturationFinding[],
  machine: Machine,
  targets?: readonly TargetMeasurement[],
): Section | undefined {
  // A file without such products has nothing to say here.
  if ((scan?.products ?? 0) === 0 && findings.length === 0) return undefined;
  const note = scan && saturationNote(scan, machine, targets && measuredTargets(targets));
  const clear =
    scan &&
    scan.canSaturate.length === 0 &&
    `None of the ${scan.products} 8-bit products can saturate, on any processor.`;
  return {
    id: "saturation",
    title: "Saturation",
    body: html`<p class="note">x86 processors without VNNI add two products of 8-bit numbers in 16 bits, which may not hold them: the sum
is cut off, and the answer is wrong without a message. Newer processors and WebAssembly do not do that.</p>
<p>${note ?? clear}${findings.length > 0 && ` ${seenText(findings)}`}</p>
${
  findings.length > 0 &&
  table(
    "Layers whose activations were looked at on calibration data",
    [
      { title: "node", kind: "wide" },
      { title: "operator" },
      { title: "sums cut off", kind: "number" },
      { title: "SQNR of its output", kind: "number" },
      { title: "weights" },
    ],
    [...findings]
      .sort((a, b) => a.sqnr - b.sqnr || b.share - a.share)
      .map(({ subject, opType, share, pairs, sqnr, reduced }) => [
        name(subject),
        opType,
        pairs === 0 ? "not seen" : `${shareText(share)} of ${formatCount(pairs)}`,
        shortDecibels(sqnr),
        reduced ? "reduced range: cannot saturate" : "full 8 bits",
      ]),
    8,
  )
}${
  findings.length > 0 &&
  html`<p class="note">Cut off: what would happen with weights in full 8 bits. SQNR: of the layer’s output with saturation against
without.</p>`
}${scan && scan.canSaturate.length > 0 && html`<details><summary>The ${scan.canSaturate.length} products that could</summary><p>${scan.canSaturate.slice(0, 500).map((label, index) => html`${index > 0 && ", "}${name(label)}`)}</p></details>`}`,
  };
}

/** What calibration data say about what weights would allow. */
function seenText(findings: readonly SaturationFinding[]): string {
  const some = findings.filter(({ saturated }) => saturated > 0);
  if (some.length === 0) return "With the activations of the calibration data, none of them does.";
  const reduced = some.filter((finding) => finding.reduced).length;
  const kept = some.length - reduced;
  const cure = reduced > 0 ? `; ${reduced} got weights of a reduced range, with which they cannot` : "";
  const rest = kept > 0 ? `; ${kept} kept full 8 bits, for it costs less than rounding does` : "";
  return `With the activations of the calibration data ${some.length} of ${findings.length} would${cure}${rest}.`;
}
