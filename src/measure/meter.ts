/**
 * @file Measures several models by several metrics, sample after sample: the original, and others against it.
 */
import type { Tensors } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { isFloatingPoint } from "../tensor/tensor.ts";
import { InputError, messageOf } from "../util/errors.ts";
import {
  type BootstrapOptions,
  bootstrapDifference,
  bootstrapValue,
  Contributions,
  type Estimate,
} from "./bootstrap.ts";
import { agreement, looksLikeClasses, top1 } from "./metrics/classification.ts";
import { findMetric, SCORE } from "./metrics/list.ts";
import { type Direction, type Metric, ratioOfSums, type Unit } from "./metrics/metric.ts";
import { DEFAULT_METRIC_OPTIONS, type MetricOptions } from "./metrics/options.ts";
import { dice } from "./metrics/segmentation.ts";

/** Which metrics to measure: plain data. */
export interface MetricSpec {
  /**
   * Names of metrics. Default: the user's score where there is one; top-1 where labels are classes of an output's
   * scores; else none, or with `fallback` agreement with the original.
   */
  readonly names?: readonly string[];
  readonly options?: Partial<MetricOptions>;
  /** Something must be measured: agreement where there is nothing better. */
  readonly fallback?: boolean;
  /** Default true. Without, intervals have no width: for a search that asks thousands of times. */
  readonly intervals?: boolean;
}

/** One metric of one model: plain data. */
export interface MetricResult {
  readonly name: string;
  readonly direction: Direction;
  readonly unit: Unit;
  /** What answers were compared with: labels (score: whatever it looks at), or what the original answered. */
  readonly against: "labels" | "original";
  /** Samples that counted. */
  readonly samples: number;
  readonly value: number;
  /** Interval of the value, 95 %. */
  readonly low: number;
  readonly high: number;
  /** The original's, on the same samples; where it is what the others are compared with, that of equal answers. */
  readonly original: number;
  /**
   * value − original with a paired bootstrap interval, 95 %. Undefined for the original itself, and where equal answers
   * would be infinitely good.
   */
  readonly difference?: Estimate;
  /** Samples to which the two gave answers that count differently. Undefined for the original itself. */
  readonly differing?: number;
}

/** What one model made of a sample. */
export interface Answer {
  readonly outputs: Tensors;
  /** By the user's function. */
  readonly score?: number;
}

export interface Meter {
  /**
   * Adds a sample: what the original answered, and what each other model did, undefined where it failed.
   * @throws InputError where the metric does not fit the original's outputs or the labels.
   */
  add(sample: Sample, original: Answer, others: readonly (Answer | undefined)[]): void;
  /** Of the original, and of the others in order. A model that failed on a sample, or gave other outputs, has none. */
  results(): { readonly original: readonly MetricResult[]; readonly others: readonly (readonly MetricResult[])[] };
}

/** @throws OptionError for metrics that there are not. */
export function createMeter(spec: MetricSpec, hasScore: boolean, seed = 0): Meter {
  const options: MetricOptions = { ...DEFAULT_METRIC_OPTIONS, ...spec.options };
  const asked = spec.names?.map((name) => (name === SCORE ? SCORE_METRIC : findMetric(name)));
  let tallies: Tally[] | undefined;
  let count = 0;
  return {
    add(sample, original, others) {
      count = others.length;
      tallies ??= (asked ?? choose(sample, original, hasScore, spec, options)).map(
        (metric) => new Tally(metric, options, sample.label !== undefined, others.length),
      );
      for (const tally of tallies) tally.add(sample, original, others);
    },
    results() {
      const all = tallies ?? [];
      const bootstrap = { seed, ...(spec.intervals === false && { resamples: 0 }) };
      const of = (index: number): MetricResult[] =>
        all.map((tally) => tally.result(index, bootstrap)).filter((result) => result !== undefined);
      return {
        original: all.map((tally) => tally.originalResult(bootstrap)).filter((result) => result !== undefined),
        others: Array.from({ length: count }, (_, index) => of(index)),
      };
    },
  };
}

/** The metrics where none was asked for, by the first sample. */
function choose(
  sample: Sample,
  original: Answer,
  hasScore: boolean,
  spec: MetricSpec,
  options: MetricOptions,
): Metric[] {
  if (hasScore) return [SCORE_METRIC];
  if (sample.label !== undefined && looksLikeClasses(original.outputs, sample.label, options)) return [top1];
  return spec.fallback ? [againstOriginal(original.outputs, options)] : [];
}

/**
 * What the answers of two models can be compared by without labels: classes of scores, or of one probability per answer;
 * maps of probabilities overlap.
 * @throws InputError for other outputs: only the user knows what matters in them.
 */
function againstOriginal(outputs: Tensors, options: MetricOptions): Metric {
  const { metricOutput } = options;
  const output = metricOutput === undefined ? Object.values(outputs)[0] : outputs[metricOutput];
  if (output !== undefined) {
    const { dims, dtype } = output;
    if (!isFloatingPoint(dtype)) return agreement;
    const isProbability = (): boolean => output.floats().every((value) => value >= 0 && value <= 1);
    if (dims.length >= 4) {
      if (dims[1] === 1 && isProbability()) return dice;
    } else if ((dims.at(-1) ?? 1) >= 2 || isProbability()) return agreement;
  }
  throw new InputError({
    area: "metric",
    subject: "outputs",
    problem: `expected classes, scores of classes or probabilities, by which answers can be compared, got ${Object.values(outputs).join(", ")}`,
    help: "Say with --metric what counts, for example mse or mean-iou, or export score(outputs, sample) from a data module.",
  });
}

/** Mean of the user's score; its values come with the answers. */
const SCORE_METRIC: Metric = {
  name: SCORE,
  summary: "mean of the data module's score(outputs, sample)",
  direction: "higher",
  unit: "score",
  needs: "label",
  perfect: Number.NaN,
  contribute: () => [],
  aggregate: ratioOfSums,
};

/** One metric of all models. */
class Tally {
  readonly others: readonly Contributions[];
  readonly #metric: Metric;
  readonly #options: MetricOptions;
  readonly #against: "labels" | "original";
  readonly #original = new Contributions();
  readonly #failed = new Set<number>();

  constructor(metric: Metric, options: MetricOptions, labelled: boolean, others: number) {
    this.#metric = metric;
    this.#options = options;
    this.#against = metric === SCORE_METRIC || (labelled && metric.needs !== "reference") ? "labels" : "original";
    this.others = Array.from({ length: others }, () => new Contributions());
  }

  add(sample: Sample, original: Answer, others: readonly (Answer | undefined)[]): void {
    // Samples without a label say nothing about those that have one.
    if (this.#against === "labels" && this.#metric !== SCORE_METRIC && sample.label === undefined) return;
    this.#original.add(this.#contribution(sample, original, original));
    others.forEach((answer, index) => {
      if (this.#failed.has(index)) return;
      try {
        if (answer === undefined) this.#failed.add(index);
        else this.others[index]!.add(this.#contribution(sample, original, answer));
      } catch (error) {
        // Outputs that the original does not have: comparing the outputs says so.
        if (!(error instanceof InputError)) throw error;
        this.#failed.add(index);
      }
    });
  }

  #contribution(sample: Sample, original: Answer, answer: Answer): ArrayLike<number> {
    if (this.#metric !== SCORE_METRIC) {
      const truth = this.#against === "labels" ? { label: sample.label } : { reference: original.outputs };
      try {
        return this.#metric.contribute(answer.outputs, truth, this.#options);
      } catch (error) {
        if (error instanceof InputError) error.message = `metric ${this.#metric.name}: ${messageOf(error)}`;
        throw error;
      }
    }
    if (answer.score !== undefined) return [answer.score, 1];
    throw new InputError({
      area: "metric",
      subject: SCORE,
      problem: "expected a data module that exports score(outputs, sample), got none",
      help: "Give the module with --data, or choose another --metric.",
    });
  }

  #aggregate = (sums: Float64Array): number => this.#metric.aggregate(sums, this.#options);

  originalResult(bootstrap: BootstrapOptions): MetricResult | undefined {
    // Compared with itself, there is nothing to say.
    if (this.#original.length === 0 || this.#against === "original") return undefined;
    const estimate = bootstrapValue(this.#original, this.#aggregate, bootstrap);
    return { ...this.#head(this.#original), ...estimate, original: estimate.value };
  }

  result(index: number, bootstrap: BootstrapOptions): MetricResult | undefined {
    const own = this.others[index]!;
    if (this.#failed.has(index) || own.length === 0) return undefined;
    const estimate = bootstrapValue(own, this.#aggregate, bootstrap);
    const before = this.#aggregate(this.#original.sums());
    const difference = Number.isFinite(before)
      ? bootstrapDifference(this.#original, own, this.#aggregate, bootstrap)
      : undefined;
    return {
      ...this.#head(own),
      ...estimate,
      original: before,
      ...(difference && { difference }),
      differing: own.differing(this.#original),
    };
  }

  #head({ length }: Contributions) {
    const { name, direction, unit } = this.#metric;
    return { name, direction, unit, against: this.#against, samples: length };
  }
}
