/**
 * @file Schedules of the learning rate: pure functions of the number of the step and of how many there will be.
 *
 * With a peak rate γ, step s from 0, n steps in all, w of them warm-up, p = (s − w) / (n − w) the share that is done:
 *
 *   constant    γ
 *   step        γ · f^⌊(s − w) / every⌋
 *   cosine      γ · (l + (1 − l) · (1 + cos πp) / 2)           l: share of γ at the end
 *   polynomial  γ · (l + (1 − l) · (1 − p)^k)
 *   one-cycle   up from γ/d to γ by a cosine over the first share u of all steps, down to γ/d/e over the rest
 *
 * Source: PyTorch's StepLR, CosineAnnealingLR, PolynomialLR, OneCycleLR, LinearLR; Loshchilov & Hutter 2017 (cosine);
 * Smith & Topin 2018 (one-cycle); Goyal et al. 2017, section 2.2 (warm-up).
 */
import { z } from "zod";

const warmUp = {
  warmUp: z.number().int().min(0).default(0).describe("steps in which the rate grows linearly from warmUpFrom"),
  warmUpFrom: z.number().min(0).max(1).default(0).describe("share of the rate at the first step of the warm-up"),
} as const;

const last = z.number().min(0).max(1).default(0).describe("share of the rate at the end");

export const scheduleOptions = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("constant"), ...warmUp }),
  z.strictObject({
    kind: z.literal("step"),
    ...warmUp,
    every: z.number().int().min(1).describe("steps after which the rate falls"),
    factor: z.number().min(0).default(0.1).describe("by which the rate is multiplied then"),
  }),
  z.strictObject({ kind: z.literal("cosine"), ...warmUp, last }),
  z.strictObject({
    kind: z.literal("polynomial"),
    ...warmUp,
    last,
    power: z.number().min(0).default(1).describe("exponent; 1: linear"),
  }),
  z.strictObject({
    kind: z.literal("one-cycle"),
    rise: z.number().min(0).max(1).default(0.3).describe("share of all steps in which the rate grows"),
    startDivisor: z.number().min(1).default(25).describe("the first rate is the highest divided by it"),
    endDivisor: z.number().min(1).default(1e4).describe("the last rate is the first divided by it"),
  }),
]);

export type Schedule = z.output<typeof scheduleOptions>;

/**
 * The learning rate of one step.
 * @param rate The highest.
 * @param step From 0; steps beyond the last have its rate.
 * @param total How many steps there will be.
 */
export function learningRateAt(schedule: Schedule, rate: number, step: number, total: number): number {
  if (schedule.kind === "one-cycle") return oneCycle(schedule, rate, step, total);
  const { warmUp, warmUpFrom } = schedule;
  if (step < warmUp) return rate * (warmUpFrom + ((1 - warmUpFrom) * step) / warmUp);
  const [s, n] = [step - warmUp, total - warmUp];
  const done = n > 0 ? Math.min(s / n, 1) : 1;
  switch (schedule.kind) {
    case "constant":
      return rate;
    case "step":
      return rate * schedule.factor ** Math.floor(s / schedule.every);
    case "cosine":
      return rate * (schedule.last + ((1 - schedule.last) * (1 + Math.cos(Math.PI * done))) / 2);
    case "polynomial":
      return rate * (schedule.last + (1 - schedule.last) * (1 - done) ** schedule.power);
  }
}

function oneCycle(
  { rise, startDivisor, endDivisor }: Extract<Schedule, { kind: "one-cycle" }>,
  rate: number,
  step: number,
  total: number,
): number {
  const [start, end] = [rate / startDivisor, rate / startDivisor / endDivisor];
  const top = Math.max(rise * total - 1, 0);
  const between = (from: number, to: number, share: number): number =>
    to + ((from - to) * (1 + Math.cos(Math.PI * Math.min(share, 1)))) / 2;
  if (step <= top) return between(start, rate, top === 0 ? 1 : step / top);
  return between(rate, end, (step - top) / Math.max(total - 1 - top, 1e-9));
}
