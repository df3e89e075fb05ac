/**
 * @file Validation: the mean loss and a metric over all samples, with the state's parameters or their averages.
 */
import { looksLikeClasses } from "../measure/metrics/classification.ts";
import { findMetric } from "../measure/metrics/list.ts";
import type { Direction, Metric, Unit } from "../measure/metrics/metric.ts";
import { DEFAULT_METRIC_OPTIONS, type MetricOptions } from "../measure/metrics/options.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { OptionError } from "../util/errors.ts";
import type { Batch } from "./batches.ts";

/** One validation: plain data. */
export interface Validation {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** The metric's name, "loss" where that is what counts. */
  readonly metric: string;
  readonly value: number;
  /** Share of the chosen weights that was gone; only where it is pruned meanwhile. */
  readonly sparsity?: number;
}

/** What validation measures beside the loss. */
export interface ValidationMetric {
  readonly name: string;
  readonly direction: Direction;
  readonly unit: Unit;
  /** Undefined: the loss itself. */
  readonly metric: Metric | undefined;
  readonly options: MetricOptions;
}

export const LOSS_METRIC = "loss";

/**
 * The metric of a name, or the one that fits the first labels.
 * @param outputs What the model gives for a batch with these labels.
 * @throws OptionError where it needs labels that there are not.
 */
export function validationMetric(
  name: string | undefined,
  given: Partial<MetricOptions>,
  labels: readonly unknown[],
  outputs: () => Promise<Tensors>,
): Promise<ValidationMetric> {
  const options = { ...DEFAULT_METRIC_OPTIONS, ...given };
  const loss: ValidationMetric = { name: LOSS_METRIC, direction: "lower", unit: "value", metric: undefined, options };
  const of = (metric: Metric): ValidationMetric => ({
    name: metric.name,
    direction: metric.direction,
    unit: metric.unit,
    metric,
    options,
  });
  const labelled = labels.every((label) => label !== undefined);
  if (name === LOSS_METRIC) return Promise.resolve(loss);
  if (name !== undefined) {
    return Promise.resolve(of(findMetric(name)));
  }
  if (!labelled) return Promise.resolve(loss);
  return outputs().then((given) => (looksLikeClasses(given, [...labels], options) ? of(findMetric("top-1")) : loss));
}

/** What is measured batch by batch. */
export class ValidationTally {
  readonly #metric: ValidationMetric;
  #sums = new Float64Array(0);
  #loss = 0;
  #samples = 0;

  constructor(metric: ValidationMetric) {
    this.#metric = metric;
  }

  /** @param reference The teacher's outputs, where the metric compares with them. */
  add(batch: Batch, loss: number, outputs: Tensors, reference: Tensors | undefined): void {
    const { metric, options } = this.#metric;
    const { copies = 1 } = batch;
    const samples = batch.labels.length / copies;
    this.#loss += loss * samples;
    this.#samples += samples;
    if (metric === undefined) return;
    const labelled = metric.needs !== "reference" && batch.labels.every((label) => label !== undefined);
    const truth = labelled ? { label: batch.labels } : reference && { reference };
    if (truth === undefined) {
      throw new OptionError({
        area: "train",
        subject: `metric ${metric.name}`,
        problem: "expected labels or a teacher to compare with, got neither",
      });
    }
    const part = metric.contribute(outputs, truth, options);
    if (part.length > this.#sums.length) {
      const longer = new Float64Array(part.length);
      longer.set(this.#sums);
      this.#sums = longer;
    }
    for (let i = 0; i < part.length; i++) this.#sums[i]! += part[i]! / copies;
  }

  result(): Pick<Validation, "loss" | "metric" | "value"> {
    const { name, metric, options } = this.#metric;
    const loss = this.#loss / this.#samples;
    return { loss, metric: name, value: metric === undefined ? loss : metric.aggregate(this.#sums, options) };
  }
}

/** Whether a is better than b. What is not a number is never better. */
export function isBetter(direction: Direction, a: number, b: number): boolean {
  if (Number.isNaN(a)) return false;
  if (Number.isNaN(b)) return true;
  return direction === "higher" ? a > b : a < b;
}
