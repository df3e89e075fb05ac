/** @file Bounds, verdicts, the table and the choice of samples for the sheet, on made-up results. */

import { describe, expect, test } from "vitest";
import type { TargetName } from "../../src/runtime/targets.ts";
import { pickDifferent } from "./contact-sheets.ts";
import type { TargetReadings, TargetTiming } from "./evaluate.ts";
import { checkBounds, passes, points, summarize } from "./report.ts";
import { type Report, renderReport } from "./table.ts";
import { verdictOf } from "./verdict.ts";

const TARGETS: readonly TargetName[] = ["node-cpu", "web-wasm"];
const NAMES = ["original", "static-int8"] as const;

interface Made {
  readonly samples?: number;
  /** Samples of 10 characters where static-int8 gets one wrong; the original reads all. */
  readonly wrong?: number;
  readonly bytes?: number;
  readonly speed?: number;
  /** Message of static-int8 on web-wasm. */
  readonly error?: string;
}

/** Results of an original of 1,000 bytes and a static-int8 that takes 10 ms / speed. */
function make({ samples = 300, wrong = 0, bytes = 290, speed = 1.6, error }: Made = {}) {
  const references = Array.from({ length: samples }, (_, i) => String(1e9 + i));
  const texts = references.map((text, i) => (i < wrong ? `x${text.slice(1)}` : text));
  const files = NAMES.map((name, i) => ({ name, path: `/tmp/${name}.onnx`, bytes: i === 0 ? 1000 : bytes }));
  const readings = TARGETS.map((target): TargetReadings => {
    const own = error !== undefined && target === "web-wasm" ? { error } : { texts };
    return { target, runtime: `runtime of ${target}`, samples, files: [{ texts: references }, own] };
  });
  const ratio = { median: speed, low: speed - 0.02, high: speed + 0.02, count: 50 };
  const timings = new Map(
    TARGETS.map((target): [TargetName, TargetTiming] => {
      const times = { p50: 10 / speed, p95: 12 / speed, ratio, verdict: speed > 1 ? "faster" : "slower" } as const;
      const original = { name: "original", p50: 10, p95: 12, ratio: undefined, verdict: undefined };
      return [target, { rounds: 50, sessions: [original, { name: "static-int8", ...times }] }];
    }),
  );
  return { files: summarize(files, references, readings, timings), readings, samples };
}

const failures = (made: Made): string[] => {
  const { files, samples } = make(made);
  return checkBounds(files, samples).flatMap(({ text, ok, enforced }) => (ok || !enforced ? [] : [text]));
};

describe("bounds", () => {
  test("all seven of issue 2, kept", () => {
    const { files } = make();
    const bounds = checkBounds(files, 300);
    expect(bounds).toHaveLength(7);
    expect(passes(bounds)).toBe(true);
  });

  test.each([
    ["0.30 of the bytes", { bytes: 300 }, []],
    ["0.301 of the bytes", { bytes: 301 }, ["static-int8: at most 0.30× the bytes"]],
    ["6 of 300 lines are 2 points", { wrong: 6 }, []],
    [
      "7 are more",
      { wrong: 7 },
      TARGETS.map((target) => `static-int8 on ${target}: exact match worse by at most 2.0 points`),
    ],
    ["1.25 is enough for WASM only", { speed: 1.25 }, ["static-int8 on node-cpu: at least 1.3× as fast"]],
    ["a file must run", { error: "does not load: no kernel" }, ["static-int8 on web-wasm: loads and runs"]],
  ])("%s %o", (_, made, expected) => {
    expect(failures(made)).toEqual(expected);
  });

  test("few samples: speed is reported only, accuracy has the room of chance", () => {
    const { files } = make({ samples: 40, wrong: 2, speed: 0.9 });
    const bounds = checkBounds(files, 40);
    expect(bounds.filter(({ ok }) => !ok).map(({ text, enforced }) => `${text} ${enforced}`)).toEqual([
      "static-int8 on node-cpu: at least 1.3× as fast false",
      "static-int8 on web-wasm: at least 1.2× as fast false",
    ]);
    expect(passes(bounds)).toBe(true);
    // √(300 / 40) · 2 points = 5.5 points: 2 of 40 lines, not 3.
    expect(failures({ samples: 40, wrong: 3 })).toHaveLength(2);
  });
});

describe("verdicts", () => {
  const verdict = (made: Made): string => verdictOf(make(made).files[1]!);

  test("as well, worse, and not at all", () => {
    expect(verdict({})).toBe(
      "static-int8: 0.29× the bytes; 1.60× faster on node-cpu, 1.60× faster on web-wasm; " +
        "reads every sample as the original does",
    );
    expect(verdict({ wrong: 1 })).toMatch(
      /reads as well as the original \(CER 0\.0 points, interval .* match −0\.3\)$/,
    );
    expect(verdict({ wrong: 60 })).toMatch(/reads worse than the original \(CER \+2\.0 points, .* match −20\.0\)$/);
    expect(verdict({ speed: 0.8 })).toContain("slower on node-cpu (0.80× its speed)");
    expect(verdict({ error: "does not load: no kernel" })).toBe(
      "static-int8: unusable: does not load: no kernel (web-wasm)",
    );
  });

  test("points have a sign unless they are zero", () => {
    expect([0.0123, -0.0049, 0.0004, -0.0004].map(points)).toEqual(["+1.2", "−0.5", "0.0", "0.0"]);
  });
});

test("the report fits 100 columns and says what went wrong", () => {
  const { files, readings, samples } = make({ samples: 40, wrong: 12, error: "does not load: no kernel" });
  const bounds = checkBounds(files, samples);
  const report: Report = {
    files,
    bounds,
    ok: passes(bounds),
    samples: 300,
    seed: 1,
    calibrationSamples: 100,
    targets: readings.map(({ target, runtime }) => ({ target, runtime, samples, rounds: 50 })),
    timedSamples: 10,
    machine: { processor: "P", cores: 2, vnni: false, platform: "linux x64", host: "Node 20" },
    load: 3.2,
    seconds: 61.4,
    sheets: ["/tmp/readings.png"],
  };
  const text = renderReport(report, (path) => path.replace("/tmp/", ".demo/"));
  const lines = text.split("\n");
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
  expect(lines[3]).toMatch(
    /^ {2}static-int8 +290 B +0\.29× +node-cpu +3\.0 % +70\.0 % +70\.0 % +6\.25 ms +1\.60× faster/,
  );
  expect(lines[4]).toMatch(/^ +web-wasm +fails$/);
  expect(text).toContain("! static-int8 on web-wasm: loads and runs: does not load: no kernel");
  expect(text.replace(/\s+/g, " ")).toContain("web-wasm on the first 40 only");
  expect(text).toContain("no VNNI");
  expect(text).toContain("load 3.2");
  expect(lines.slice(-3)).toEqual(["  .demo/readings.png", "", "  NOT OK: see the lines with ! above, 61 s"]);
});

test("files take turns in the sheet of differences", () => {
  // Dynamic differs in five samples, static in three, one of them common.
  const picked = pickDifferent(
    [
      [1, 2, 3, 4, 5],
      [5, 8, 9],
    ],
    4,
  );
  expect(picked).toEqual([1, 2, 5, 8]);
  expect(pickDifferent([[], [7]], 4)).toEqual([7]);
});
