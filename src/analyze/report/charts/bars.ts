/**
 * @file Bars with their labels and values as text beside them: sizes, speeds with their intervals, what nodes cost; and
 * differences with their intervals around zero.
 */
import { type Html, html, type Part } from "../html.ts";
import { across, line, rect, svg, whisker } from "./svg.ts";

const HEIGHT = 22;

export interface Bar {
  readonly label: Part;
  /** What the bar shows, in words, without the label. */
  readonly text: string;
  /** The label in plain text: for those who do not see the picture. */
  readonly title: string;
  /** Undefined: no bar, only the text. */
  readonly value: number | undefined;
  readonly interval?: { readonly low: number; readonly high: number };
  /** Default "after". */
  readonly tone?: "before" | "after" | "mark";
}

export interface BarOptions {
  /** A value that is marked with a line across all bars, such as the original's speed. */
  readonly reference?: number;
  readonly caption?: Part;
}

/** Bars from 0, on one scale. */
export function barChart(bars: readonly Bar[], { reference, caption }: BarOptions = {}): Html {
  const ends = bars.flatMap(({ value, interval }) => [value ?? 0, interval?.high ?? 0]).filter(Number.isFinite);
  const most = 1.04 * Math.max(...ends, reference ?? 0, Number.MIN_VALUE);
  const rows = bars.map(({ label, text, title, value, interval, tone = "after" }) => {
    const body =
      value !== undefined &&
      svg(
        `${title}: ${text}`,
        HEIGHT,
        rect(`fill-${tone}`, "0", 4, across(value / most), HEIGHT - 8),
        interval && whisker(interval.low / most, interval.high / most, HEIGHT / 2),
        reference !== undefined && line("limit", across(reference / most), 0, across(reference / most), HEIGHT),
      );
    return barRow(label, body, text);
  });
  return figure(rows, caption);
}

export interface Difference {
  readonly label: Part;
  /** The label in plain text. */
  readonly title: string;
  readonly text: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Differences around zero, on one scale. @param limit the largest loss that is allowed, with the sign of a loss. */
export function differenceChart(
  rows: readonly Difference[],
  { limit, caption }: { readonly limit?: number; readonly caption?: Part } = {},
): Html {
  const ends = rows.flatMap(({ value, low, high }) => [value, low, high].map(Math.abs)).filter(Number.isFinite);
  const most = 1.1 * Math.max(...ends, Math.abs(limit ?? 0), Number.MIN_VALUE);
  const at = (value: number): number => 0.5 + value / (2 * most);
  const drawn = rows.map(({ label, title, text, value, low, high }) =>
    barRow(
      label,
      svg(
        `${title}: ${text}`,
        HEIGHT,
        line("grid", "0", HEIGHT / 2, "100%", HEIGHT / 2),
        line("whisker", across(at(0)), 1, across(at(0)), HEIGHT - 1),
        limit !== undefined && line("clip", across(at(limit)), 0, across(at(limit)), HEIGHT),
        whisker(at(low), at(high), HEIGHT / 2),
        html`<circle class="fill-after" cx="${across(at(value))}" cy="${HEIGHT / 2}" r="5" />`,
      ),
      text,
    ),
  );
  return figure(drawn, caption);
}

function barRow(label: Part, picture: Part, text: string): Html {
  return html`<div class="bar"><span>${label}</span><div>${picture}</div><span>${text}</span></div>
`;
}

function figure(rows: readonly Html[], caption: Part): Html {
  return html`<figure>${rows}${caption !== undefined && html`<figcaption>${caption}</figcaption>`}</figure>
`;
}
