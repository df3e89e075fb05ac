/**
 * @file The numbers that the worst values take, and the range outside of which the file clips them.
 */
import { formatCount } from "../../../util/format.ts";
import { shareText } from "../../measurement-text.ts";
import { histogramChart, number } from "../charts/histogram.ts";
import { type Html, html, name } from "../html.ts";
import type { Section } from "../page.ts";
import type { ValueHistogram } from "../value-histogram.ts";

export function histogramSection(histograms: readonly ValueHistogram[] | undefined): Section | undefined {
  if (histograms === undefined || histograms.length === 0) return undefined;
  const clipped = histograms.some(({ range }) => range !== undefined);
  return {
    id: "histograms",
    title: "Worst values and their ranges",
    body: html`<p class="note">What these values are in the original: how often each number occurs, on a logarithmic scale. ${
      clipped
        ? "The dashed lines are the least and the largest number that the codes of the result stand for; in the shade beyond them, everything becomes the nearest of the two."
        : "The result has no fixed range for them: nothing is clipped."
    }</p>
<div class="histograms">${histograms.map(histogram)}</div>`,
  };
}

function histogram(found: ValueHistogram): Html {
  return html`<figure><h3>${name(found.name)} <span class="muted">${found.opType}</span></h3>
${histogramChart(found)}
<figcaption>${rangeText(found)} ${formatCount(found.elements)} elements${
    found.nonFinite > 0 && `, ${formatCount(found.nonFinite)} more are NaN or infinite`
  }.</figcaption></figure>
`;
}

function rangeText({ range, dynamic, below, above }: ValueHistogram): string {
  if (dynamic) return "Its range is found anew for each input: nothing is clipped.";
  if (range === undefined) return "Stays in float.";
  const outside = below + above;
  const share = outside === 0 ? "nothing lies outside" : `${shareText(outside)} lie outside`;
  return `Clipped to ${number(range.min)} … ${number(range.max)} (${range.dtype}, scale ${number(range.scale)}, zero point ${range.zeroPoint}): ${share}.`;
}
