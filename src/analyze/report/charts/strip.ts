/**
 * @file The values of a graph in its order, each with its SQNR: where a model's error enters and grows.
 */
import type { TensorError } from "../../tensor-errors.ts";
import { CLEAN_DB } from "../../tensor-errors.ts";
import { type Html, html } from "../html.ts";
import { across, line, round, svg } from "./svg.ts";

const TOP = 18;
const PLOT = 170;
const HEIGHT = TOP + PLOT + 6;
/** More are not told apart: of those that fall together the worst is shown. */
const MOST_POINTS = 400;
/** Share of the width within which two numbers touch. */
const CROWDED = 0.03;
const GRID = [60, 40, 20, 0];

interface Point {
  readonly value: TensorError;
  readonly index: number;
}

/** @param marked the values that a table beside it numbers from 1. */
export function sqnrStrip(values: readonly TensorError[], marked: readonly TensorError[]): Html {
  const y = (sqnr: number): number => TOP + PLOT * (1 - Math.min(Math.max(sqnr, 0), CLEAN_DB) / CLEAN_DB);
  const points = thin(values, marked);
  const x = (index: number): string => across((index + 0.5) / values.length);
  const lowered = crowded(points, marked, values.length);
  const drawn = points.map(({ value, index }) => {
    const rank = marked.indexOf(value) + 1;
    const level = y(value.sqnr);
    const tone = rank > 0 ? "mark" : "after";
    return html`${line(rank > 0 ? "stem-mark" : "stem", x(index), level, x(index), TOP)}<circle class="fill-${tone}" cx="${x(index)}" cy="${round(level)}" r="${rank > 0 ? 4.5 : 2.5}"><title>${value.node} (${value.opType}): ${Math.min(value.sqnr, 999).toFixed(1)} dB</title></circle>${
      rank > 0 &&
      html`<text class="marked" x="${x(index)}" y="${round(level + (lowered.has(index) ? 29 : 17))}">${rank}</text>`
    }`;
  });
  const grid = GRID.map((level) => line("grid", "0", y(level), "100%", y(level)));
  const lowest = Math.min(...values.map(({ sqnr }) => sqnr));
  const title = `SQNR of ${values.length} values in the order of the graph; the lowest is ${lowest.toFixed(1)} dB`;
  const labels = GRID.map((level) => {
    const text = level === CLEAN_DB ? `≥ ${level} dB` : `${level} dB`;
    return html`<span style="top: ${round(y(level))}px">${text}</span>`;
  });
  return html`<div class="plot"><div class="axis" aria-hidden="true">${labels}</div>${svg(title, HEIGHT, grid, drawn)}</div>`;
}

/** Marked values so near to the one before that their numbers would fall together. */
function crowded(points: readonly Point[], marked: readonly TensorError[], count: number): ReadonlySet<number> {
  const found = new Set<number>();
  let last = Number.NEGATIVE_INFINITY;
  for (const { value, index } of points) {
    if (!marked.includes(value)) continue;
    if (index - last < CROWDED * count && !found.has(last)) found.add(index);
    last = index;
  }
  return found;
}

/** The values that are drawn, with their places. */
function thin(values: readonly TensorError[], marked: readonly TensorError[]): Point[] {
  const all = values.map((value, index) => ({ value, index }));
  if (values.length <= MOST_POINTS) return all;
  const worst = new Map<number, Point>();
  for (const point of all) {
    const place = Math.floor((point.index * MOST_POINTS) / values.length);
    const other = worst.get(place);
    if (other === undefined || point.value.sqnr < other.value.sqnr) worst.set(place, point);
  }
  return all.filter((point) => marked.includes(point.value) || [...worst.values()].includes(point));
}
