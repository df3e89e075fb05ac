/**
 * @file The option `reduceRange` of the schemes that compute in 8 bits, and what is said about its effect.
 */
import { z } from "zod";
import type { TargetName } from "../../runtime/targets.ts";
import type { SaturationFinding } from "../../step/step.ts";

export const RANGE_MODES = ["off", "on", "auto"] as const;

export type RangeMode = (typeof RANGE_MODES)[number];

/** The option; `auto` differs by what a scheme knows about the activations. */
export function reduceRangeOption(auto: string): z.ZodDefault<z.ZodEnum<{ off: "off"; on: "on"; auto: "auto" }>> {
  return z
    .enum(RANGE_MODES)
    .default("auto")
    .describe(`weights in 7 bits, for x86 processors without VNNI; auto: ${auto}`);
}

/** Whether a target runs on processors whose u8×s8 products saturate. WebAssembly sums in 32 bits everywhere. */
export function saturatesSomewhere(targets: readonly TargetName[]): boolean {
  return targets.includes("node-cpu");
}

/** Lines for a report; none where nothing saturates. */
export function describeSaturation(findings: readonly SaturationFinding[], layers: number): string[] {
  const groups = [
    {
      some: findings.filter(({ reduced, saturated }) => reduced && saturated > 0),
      text: "with a reduced range of weights: on x86 without VNNI",
    },
    {
      some: findings.filter(({ reduced, saturated }) => !reduced && saturated > 0),
      text: "in full 8 bits although, on x86 without VNNI,",
    },
  ];
  const unseen = findings.filter(({ reduced, pairs }) => reduced && pairs === 0).length;
  return [
    ...groups
      .filter(({ some }) => some.length > 0)
      .map(({ some, text }) => `${some.length} of ${layers} ${text} ${effect(some)}`),
    ...(unseen > 0
      ? [`${unseen} of ${layers} with a reduced range of weights: no activations were seen to say that they need none`]
      : []),
  ];
}

function effect(findings: readonly SaturationFinding[]): string {
  const share = 100 * Math.max(...findings.map((finding) => finding.share));
  const sqnr = Math.min(...findings.map((finding) => finding.sqnr));
  const percent = share >= 0.1 ? share.toFixed(1) : share >= 0.001 ? share.toPrecision(1) : "0.001";
  return `up to ${percent} % of their 16-bit sums would saturate, output SQNR down to ${sqnr.toFixed(0)} dB`;
}
