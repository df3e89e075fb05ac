/**
 * @file How a training went: its loss and what validation measured, over its updates.
 */
import type { TrainResult } from "../../../train/context.ts";
import { formatCount } from "../../../util/format.ts";
import { formatMetric } from "../../metric-text.ts";
import { number } from "../charts/histogram.ts";
import { type Line, lineChart } from "../charts/lines.ts";
import { html } from "../html.ts";
import { type Section, table } from "../page.ts";

export type TrainingData = Pick<TrainResult, "steps" | "curve" | "validations" | "metric" | "best">;

export function trainingSection(data: TrainingData | undefined): Section | undefined {
  if (data === undefined || data.curve.length === 0) return undefined;
  const { steps, curve, validations, metric, best } = data;
  const measured = metric !== undefined && metric.name !== "loss";
  const layers = curve.filter((point) => point.layers);
  const whole = curve.filter((point) => !point.layers);
  const border = layers.length > 0 && whole.length > 0 ? layers.at(-1)!.step : undefined;
  const course = (points: typeof curve): Line => ({
    points: points.map(({ step, loss }) => ({ x: step, y: loss })),
    tone: "after",
  });
  const validated: Line = { points: validations.map(({ step, loss }) => ({ x: step, y: loss })), tone: "mark" };
  const [first, last] = [curve[0]!, curve.at(-1)!];
  const chart = lineChart([course(layers), course(whole), validated], {
    title: `Loss over ${steps} steps, from ${number(first.loss)} to ${number(last.loss)}`,
    to: steps,
    border,
    caption: html`The loss of the batches${validations.length > 0 && ", and with dots that of the samples kept for validation"}.${
      layers.length > 0 &&
      ` ${border === undefined ? "All" : "Left of the dashed line, all"} updates teach each layer alone, by the error of what it gives; validation is of the whole.`
    }`,
  });
  const figure =
    measured &&
    validations.length > 0 &&
    html`<h3>${metric.name}</h3>${lineChart(
      [{ points: validations.map(({ step, value }) => ({ x: step, y: value })), tone: "mark" }],
      {
        title: `${metric.name} of validation over ${steps} steps`,
        to: steps,
        border,
        caption: `${metric.name} of the samples kept for validation; ${metric.direction} is better.`,
      },
    )}`;
  const rows = validations.map(({ step, loss, value }) => [
    `${formatCount(step)}${step === best?.step ? ", the result" : ""}`,
    number(loss),
    measured ? formatMetric(metric.unit, value) : "",
  ]);
  const body = html`<h3>Loss</h3>${chart}${figure}${
    rows.length > 0 &&
    table(
      "Validations",
      [{ title: "after step" }, { title: "loss", kind: "number" }, { title: metric?.name ?? "", kind: "number" }],
      rows,
      6,
    )
  }`;
  return { id: "training", title: "Training", body };
}
