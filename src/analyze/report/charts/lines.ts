/**
 * @file Values over steps: lines between points, on a scale of powers of ten where all are above zero.
 */
import { type Html, html, type Part } from "../html.ts";
import { number } from "./histogram.ts";
import { across, line, round, svg } from "./svg.ts";

const HEIGHT = 180;

export interface Line {
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** "after": the values, "mark": those that decide. Marked ones have a dot at each point. */
  readonly tone: "after" | "mark";
}

export interface LinesOptions {
  /** What the picture shows, in words. */
  readonly title: string;
  /** The largest x; the least is 0. */
  readonly to: number;
  /** Where a dashed line is drawn from top to bottom. */
  readonly border?: number | undefined;
  readonly caption?: Part;
}

export function lineChart(lines: readonly Line[], { title, to, border, caption }: LinesOptions): Html {
  const values = lines.flatMap(({ points }) => points.map(({ y }) => y)).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const scale = low > 0 ? Math.log10 : (y: number): number => y;
  const [from, span] = [scale(low), scale(high) - scale(low) || 1];
  const xOf = (x: number): string => across(x / (to || 1));
  const yOf = (y: number): number => HEIGHT - 4 - ((HEIGHT - 8) * (scale(y) - from)) / span;
  const drawn = lines.map(({ points, tone }) => {
    const seen = points.filter(({ y }) => Number.isFinite(y));
    const segments = seen
      .slice(1)
      .map((point, i) => line(`curve-${tone}`, xOf(seen[i]!.x), yOf(seen[i]!.y), xOf(point.x), yOf(point.y)));
    const dots =
      (tone === "mark" || seen.length === 1) &&
      seen.map(({ x, y }) => html`<circle class="fill-${tone}" cx="${xOf(x)}" cy="${round(yOf(y))}" r="3" />`);
    return html`${segments}${dots}`;
  });
  const picture = svg(
    title,
    HEIGHT,
    line("grid", "0", HEIGHT, "100%", HEIGHT),
    line("grid", "0", 0, "0", HEIGHT),
    border !== undefined && line("limit", xOf(border), 0, xOf(border), HEIGHT),
    drawn,
  );
  return html`<figure><div class="plot"><div class="levels" aria-hidden="true"><span>${number(high)}</span><span>${number(low)}</span></div><div>${picture}</div></div>
<div class="plot"><span></span><div class="ends" aria-hidden="true"><span>0</span><span>step ${to}</span></div></div>${
    caption !== undefined && html`<figcaption>${caption}</figcaption>`
  }</figure>
`;
}
