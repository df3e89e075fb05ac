/**
 * @file THE list of metrics. A metric's name here is its name in the API, on the command line and in the docs.
 */
import { OptionError } from "../../util/errors.ts";
import { agreement, top1, topK } from "./classification.ts";
import { cosine, kl, sqnr } from "./distance.ts";
import { f1 } from "./f1.ts";
import type { Metric } from "./metric.ts";
import { mae, mse } from "./regression.ts";
import { dice, meanIou } from "./segmentation.ts";
import { cer, exactMatch, wer } from "./text.ts";

export const METRICS: readonly Metric[] = [
  top1,
  topK,
  f1,
  exactMatch,
  cer,
  wer,
  meanIou,
  dice,
  mse,
  mae,
  agreement,
  cosine,
  sqnr,
  kl,
];

/** The name of the user's own: what a module exports as score(outputs, sample). */
export const SCORE = "score";

export const METRIC_NAMES: readonly string[] = [...METRICS.map(({ name }) => name), SCORE];

/** "top-5": top-k with its k. */
const TOP = /^top-(\d+)$/;

/**
 * The metric of a name; "top-5" is top-k with k = 5.
 * @throws OptionError for a name that is not there.
 */
export function findMetric(name: string): Metric {
  const found = METRICS.find((metric) => metric.name === name);
  if (found !== undefined) return found;
  const k = Number(TOP.exec(name)?.[1]);
  if (k >= 1) {
    return {
      ...topK,
      name,
      summary: `share of answers with the label among the ${k} best`,
      contribute: (outputs, truth, options) => topK.contribute(outputs, truth, { ...options, topK: k }),
    };
  }
  throw new OptionError({
    area: "metric",
    subject: "--metric",
    problem: `expected ${METRIC_NAMES.join(", ")}, got ${name}`,
    help: "Several are separated by commas. See docs/evaluation.md.",
  });
}
