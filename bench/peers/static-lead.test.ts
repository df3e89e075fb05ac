import { expect, it } from "vitest";
import { compareWithPeers, type StaticRow } from "./static-lead.ts";
import { type StaticVariant, tersor } from "./static-variants.ts";

const exactly = (value: number) => ({ value, low: value, high: value });
const peer = (name: string): StaticVariant => ({
  name,
  by: "onnxruntime",
  defaults: false,
  sameExclusions: false,
  options: {},
});

function row(name: string, bytes: number, sqnr: number, cer: number, variant?: StaticVariant): StaticRow {
  const figure = { name: "CER", better: "lower", ...exactly(cer), difference: undefined } as const;
  return {
    name,
    variant,
    bytes,
    run: undefined,
    targets: [{ target: "node-cpu", sqnr, error: undefined, latency: undefined, figures: [figure] }],
  };
}

it("tells leads, lags behind files of one size, and lags behind larger files", () => {
  const rows = [
    row("original", 4000, Number.POSITIVE_INFINITY, 0.02),
    row("tersor", 1000, 30, 0.03, tersor("tersor", {})),
    row("small", 1000, 28, 0.025, peer("small")),
    row("large", 2000, 40, 0.028, peer("large")),
  ];
  const { ahead, behind, behindLarger } = compareWithPeers(rows);
  expect(ahead).toEqual([]);
  expect(behind).toEqual(["node-cpu CER 3.00 %, small 2.50 % (0.250x bytes, node-cpu 28.0 dB, -x)"]);
  expect(behindLarger).toEqual(["node-cpu SQNR 30.0 dB, large 40.0 dB (0.500x bytes, node-cpu 40.0 dB, -x)"]);
});

it("takes small differences for none", () => {
  const rows = [
    row("original", 4000, Number.POSITIVE_INFINITY, 0.02),
    row("tersor", 1000, 30, 0.03, tersor("tersor", {})),
    row("near", 998, 30.2, 0.0295, peer("near")),
    row("far", 1300, 20, 0.09, peer("far")),
  ];
  expect(compareWithPeers(rows)).toEqual({ ahead: [], behind: [], behindLarger: [] });
  const alone = rows.filter(({ name }) => name !== "near");
  expect(compareWithPeers(alone).ahead).toHaveLength(3);
});
