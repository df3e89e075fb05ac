/**
 * @file The contract of everything that changes a model: passes, quantizers, pruners, training phases.
 */
import type { z } from "zod";
import type { Model } from "../graph/model.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Progress } from "../util/progress.ts";
import type { DataSource } from "./data.ts";

export type Need = "runtime" | "calibration" | "evaluation" | "labels";

/** What a step may use. Everything is optional here; a step's `needs` say what must be there. */
export interface StepContext {
  readonly runtime?: Runtime;
  readonly calibration?: DataSource;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  /** Default 0. */
  readonly seed?: number;
  /** Where statistics of calibration are kept between runs; undefined: nowhere. */
  readonly statistics?: StatisticsStore;
}

/** Statistics of one model, as text. */
export interface StatisticsStore {
  /** For messages: the file. */
  readonly name: string;
  /** A hash of the model they belong to. */
  readonly model: string;
  /** Undefined where there are none yet. */
  read(): string | undefined;
  write(text: string): void;
}

/** Something eligible that a step left alone, and why. */
export interface LeftAlone {
  /** The node's or value's name. */
  readonly subject: string;
  readonly opType?: string;
  readonly reason: string;
}

/** What x86 processors without VNNI would make of a layer's 8-bit product, found on sampled calibration data. */
export interface SaturationFinding {
  /** The node's name. */
  readonly subject: string;
  readonly opType: string;
  /** Sums of two products that were looked at. */
  readonly pairs: number;
  /** How many of them do not fit 16 bits with weights in full 8 bits. */
  readonly saturated: number;
  /** saturated ÷ pairs. */
  readonly share: number;
  /** Of the layer's output with saturation against without, dB; Infinity where none saturates. */
  readonly sqnr: number;
  /** Its weights got a reduced range, with which no pair can saturate. */
  readonly reduced: boolean;
}

export interface StepReport {
  /** How many nodes or values changed; 0 means that the model is as it was. */
  readonly changed: number;
  /** What changed, one line each, for people. */
  readonly changes?: readonly string[];
  readonly leftAlone?: readonly LeftAlone[];
  /** Of the layers that can saturate at all. */
  readonly saturation?: readonly SaturationFinding[];
  /** Reports of corrections that were part of it: what they changed, and what they left alone and why. */
  readonly corrections?: readonly StepReport[] | undefined;
}

/**
 * One step. `options` is a strict zod object whose fields are all described: types, defaults, recipes, flags, help and
 * documentation come from it.
 */
export interface Step<Options extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly summary: string;
  readonly options: Options;
  readonly needs: readonly Need[];
  run(model: Model, options: z.output<Options>, context: StepContext): Promise<StepReport> | StepReport;
}

/** Gives a step its types. */
export function defineStep<Options extends z.ZodObject>(step: Step<Options>): Step<Options> {
  return step;
}
