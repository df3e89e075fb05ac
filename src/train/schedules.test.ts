import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { learningRateAt, scheduleOptions } from "./schedules.ts";

const { schedules } = JSON.parse(
  readFileSync(new URL("../../test/reference/optimizers.json", import.meta.url), "utf8"),
) as {
  schedules: {
    rate: number;
    total: number;
    cases: readonly { options: z.input<typeof scheduleOptions>; rates: readonly number[] }[];
  };
};

describe("schedules equal PyTorch's", () => {
  for (const { options, rates } of schedules.cases) {
    it(JSON.stringify(options), () => {
      const schedule = scheduleOptions.parse(options);
      rates.forEach((rate, step) => {
        const found = learningRateAt(schedule, schedules.rate, step, schedules.total);
        expect(Math.abs(found - rate), `step ${step}`).toBeLessThanOrEqual(1e-12);
      });
    });
  }

  it("every kind has a case", () => {
    const kinds = scheduleOptions.options.map(({ shape }) => shape.kind.value);
    expect(new Set(schedules.cases.map(({ options }) => options.kind))).toEqual(new Set(kinds));
  });

  it("keeps the last rate beyond the end, and takes a warm-up that is as long as the training", () => {
    const cosine = scheduleOptions.parse({ kind: "cosine", last: 0.1 });
    expect(learningRateAt(cosine, 1, 40, 20)).toBeCloseTo(0.1, 12);
    const warm = scheduleOptions.parse({ kind: "polynomial", warmUp: 4 });
    expect([0, 1, 2, 3].map((step) => learningRateAt(warm, 1, step, 4))).toEqual([0, 0.25, 0.5, 0.75]);
    expect(learningRateAt(scheduleOptions.parse({ kind: "one-cycle" }), 1, 99, 10)).toBeCloseTo(4e-6, 9);
  });
});
