/**
 * @file What the trainer is given beside model and options, and what it gives back.
 */
import type { Model } from "../graph/model.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import type { Progress } from "../util/progress.ts";
import type { Augment } from "./batches.ts";
import type { CheckpointStore } from "./checkpoint.ts";
import type { CurvePoint } from "./curve.ts";
import type { LogRecord, StopReason, TrainHooks } from "./events.ts";
import type { MemoryEstimate } from "./program.ts";
import type { Validation, ValidationMetric } from "./validate.ts";

export interface TrainContext {
  readonly runtime: Runtime;
  readonly data: DataSource;
  /** Samples to validate on. Default: none, then the last parameters are the result. */
  readonly validation?: DataSource | undefined;
  /** Whose outputs are targets of distillation. Default: the model as it is before. */
  readonly teacher?: Model | undefined;
  readonly augment?: Augment | undefined;
  /** What checkpoints know of the augmentation, to tell another one. */
  readonly augmentName?: string | undefined;
  /** Where checkpoints go. Default: nowhere. */
  readonly checkpoints?: CheckpointStore | undefined;
  /** Goes on from the last checkpoint, where there is one. Default false: a store with checkpoints is refused. */
  readonly resume?: boolean | undefined;
  readonly log?: ((record: LogRecord) => void) | undefined;
  readonly hooks?: TrainHooks | undefined;
  readonly progress?: Progress | undefined;
  /** Only say what would be trained, and what it takes: everything is checked and built, the model stays as it is. */
  readonly planOnly?: boolean | undefined;
  /** Looked at between updates. A checkpoint is written before the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

export interface TrainResult {
  /** Updates in all, those before a checkpoint included. */
  readonly steps: number;
  /** Epochs that were begun. */
  readonly epochs: number;
  readonly stopped: StopReason;
  /** Running average. Undefined where no update was made. */
  readonly loss: number | undefined;
  /** Its course, in at most some hundred points. */
  readonly curve: readonly CurvePoint[];
  readonly metric: Pick<ValidationMetric, "name" | "direction" | "unit"> | undefined;
  /** The first is of the model as it was. */
  readonly validations: readonly Validation[];
  /** Whose parameters the model has now, where they are not the last ones. */
  readonly best: Validation | undefined;
  /** Of updates, in this process. */
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly memory: MemoryEstimate;
  /** Trained numbers. */
  readonly parameters: number;
  /** What is trained, by its name in the model. */
  readonly trained: readonly { readonly name: string; readonly dims: readonly number[] }[];
  /** What was decided for the user, one line each: what is not trained, and why. */
  readonly notes: readonly string[];
}
