/**
 * @file What the page and the worker that trains tell each other.
 */
import type { LogRecord } from "../../../src/train/events.ts";
import type { DirectionSettings } from "../direction-shared.ts";
import type { LenetSettings } from "../lenet-shared.ts";

export type TaskName = "lenet" | "direction";

export interface Settings {
  readonly lenet: LenetSettings;
  /** `lines`: how many are drawn to learn from. */
  readonly direction: DirectionSettings & { readonly lines: number };
}

export type Order = {
  readonly [Task in TaskName]: { readonly kind: "train"; readonly task: Task; readonly settings: Settings[Task] };
}[TaskName];

export type ToTrainer = Order | { readonly kind: "cancel" };

/** The database in which a task's checkpoints are. */
export const databaseOf = (task: string): string => `tersor-example-${task}`;

/** A small picture with its caption. */
export interface Shown {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;
  readonly caption: string;
  readonly good: boolean;
}

export type FromTrainer =
  /** What goes on, where it is not training. */
  | { readonly kind: "doing"; readonly text: string }
  | { readonly kind: "log"; readonly record: LogRecord }
  | {
      readonly kind: "done";
      /** One sentence. */
      readonly summary: string;
      readonly figures: readonly { readonly label: string; readonly value: string }[];
      readonly file: Uint8Array<ArrayBuffer>;
      readonly shown: readonly Shown[];
    }
  | { readonly kind: "cancelled" }
  | { readonly kind: "failed"; readonly message: string };
