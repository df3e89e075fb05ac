/**
 * @file How often a value takes which number, and the range outside of which the quantized file clips it.
 */
import type { Html } from "../html.ts";
import { html } from "../html.ts";
import type { ValueHistogram } from "../value-histogram.ts";
import { across, line, rect, svg } from "./svg.ts";

const HEIGHT = 110;
/** Bars that are drawn; the histogram has more bins. */
const BARS = 64;

/** Heights are logarithms of counts: tails, which decide about ranges, would not be seen otherwise. */
export function histogramChart(histogram: ValueHistogram): Html {
  const { low, high, range } = histogram;
  const counts = merge(histogram.counts);
  const from = Math.min(low, range?.min ?? low);
  const to = Math.max(high, range?.max ?? high);
  const span = to - from || 1;
  const at = (value: number): number => (value - from) / span;
  const width = (high - low) / counts.length;
  const most = Math.log1p(Math.max(...counts));
  // Room at both ends, so that marks there are seen whole.
  const bars = counts.map((count, index) => {
    if (count === 0) return undefined;
    const height = Math.max(1, (HEIGHT * Math.log1p(count)) / (most || 1));
    const left = at(low + index * width);
    const share = width === 0 ? 0.02 : width / span;
    return rect("fill-after", across(left), HEIGHT - height, across(Math.min(share, 1 - left)), height);
  });
  const marks = range && [
    range.min > from && rect("fill-shade", "0", 0, across(at(range.min)), HEIGHT),
    range.max < to && rect("fill-shade", across(at(range.max)), 0, across(1 - at(range.max)), HEIGHT),
    line("clip", across(at(range.min)), 0, across(at(range.min)), HEIGHT),
    line("clip", across(at(range.max)), 0, across(at(range.max)), HEIGHT),
  ];
  const title = `Histogram of ${histogram.name}, from ${number(low)} to ${number(high)}${
    range === undefined ? "" : `, clipped to ${number(range.min)} … ${number(range.max)}`
  }`;
  const base = line("grid", "0", HEIGHT, "100%", HEIGHT);
  return html`${svg(title, HEIGHT, bars, marks, base)}<div class="ends" aria-hidden="true"><span>${number(from)}</span><span>${number(to)}</span></div>`;
}

function merge(counts: readonly number[]): number[] {
  const width = Math.max(1, Math.ceil(counts.length / BARS));
  return Array.from({ length: Math.ceil(counts.length / width) }, (_, index) =>
    counts.slice(index * width, (index + 1) * width).reduce((a, b) => a + b, 0),
  );
}

/** Three significant digits, with the sign that typography has for it. */
export function number(value: number): string {
  return String(Number(value.toPrecision(3))).replace("-", "−");
}
