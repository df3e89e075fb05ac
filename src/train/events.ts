/**
 * @file What a training says while it runs: records of its log, hooks, and one line of progress.
 */
import { formatCount } from "../util/format.ts";
import type { MemoryEstimate } from "./program.ts";
import type { Pruning } from "./pruner.ts";
import type { Validation } from "./validate.ts";

/** One record of the log: plain data, a line of JSON in a file. `time` is in seconds since this process began to train. */
export type LogRecord = { readonly time: number } & (
  | {
      readonly type: "start";
      /** 0, or that of the checkpoint from which it goes on. */
      readonly step: number;
      readonly from?: string;
      readonly totalSteps: number;
      readonly samples: number;
      readonly validationSamples: number;
      readonly parameters: number;
      readonly memory: MemoryEstimate;
      readonly notes: readonly string[];
    }
  | {
      readonly type: "step";
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      /** Of several losses, each without its weight. */
      readonly losses?: Readonly<Record<string, number>>;
      readonly learningRate: number;
      readonly gradientNorm?: number;
      readonly samplesPerSecond: number;
    }
  | ({ readonly type: "validation"; readonly best: boolean } & Validation)
  | ({ readonly type: "prune"; readonly step: number } & Pruning)
  | { readonly type: "checkpoint"; readonly step: number; readonly name: string }
  | {
      readonly type: "end";
      readonly step: number;
      readonly reason: StopReason | "cancelled" | "diverged";
      readonly problem?: string;
    }
);

/** finished: all epochs or steps; patience: no better validation for so many; planned: nothing was to be trained yet. */
export type StopReason = "finished" | "patience" | "planned";

/** What is known after an update. */
export interface StepInfo {
  /** From 1. */
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly learningRate: number;
  readonly gradientNorm?: number;
  readonly samples: number;
}

/** Called between updates; training waits for what they return. */
export interface TrainHooks {
  onStep?(info: StepInfo): void | Promise<void>;
  onEpoch?(info: { readonly epoch: number; readonly step: number }): void | Promise<void>;
  onValidation?(validation: Validation, best: boolean): void | Promise<void>;
  onPrune?(info: { readonly step: number } & Pruning): void | Promise<void>;
  onCheckpoint?(info: { readonly step: number; readonly name: string }): void | Promise<void>;
}

/** @param work "training". Gives "training: loss 0.123, top-1 93.2 %, 5,210 samples/s, 12 s left, step" */
export function progressText(
  work: string,
  loss: number,
  validation: Validation | undefined,
  samplesPerSecond: number,
  secondsLeft: number | undefined,
): string {
  const parts = [`loss ${loss.toPrecision(3)}`];
  if (validation !== undefined && validation.metric !== "loss") {
    parts.push(`${validation.metric} ${validation.value.toPrecision(3)}`);
  }
  parts.push(`${formatCount(Math.round(samplesPerSecond))} samples/s`);
  if (secondsLeft !== undefined) parts.push(`${formatDuration(secondsLeft)} left`);
  return `${work}: ${parts.join(", ")}, step`;
}

export function formatDuration(seconds: number): string {
  if (seconds < 99.5) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
