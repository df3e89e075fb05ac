/**
 * @file Pictures that fill the width they get while their text keeps its size: coordinates along x are percentages of the
 * width, those along y pixels.
 */
import { type Html, html, type Part } from "../html.ts";

/** @param title what the picture shows, in words: for those who do not see it. */
export function svg(title: string, height: number, ...body: readonly Part[]): Html {
  return html`<svg role="img" width="100%" height="${height}"><title>${title}</title>${body}</svg>`;
}

/** A share of the width, kept to 0 … 1. */
export function across(share: number): string {
  return `${round(100 * Math.min(1, Math.max(0, share)))}%`;
}

/** Two places: what a screen shows of a coordinate. */
export function round(value: number): number {
  return Math.round(100 * value) / 100;
}

export function line(className: string, x1: string, y1: number, x2: string, y2: number): Html {
  return html`<line class="${className}" x1="${x1}" y1="${round(y1)}" x2="${x2}" y2="${round(y2)}" />`;
}

export function rect(className: string, x: string, y: number, width: string, height: number): Html {
  return html`<rect class="${className}" x="${x}" y="${round(y)}" width="${width}" height="${round(height)}" />`;
}

/** An interval: a line between its ends, which are crossed. */
export function whisker(low: number, high: number, middle: number): Html {
  const [from, to] = [across(low), across(high)];
  return html`${line("whisker", from, middle, to, middle)}${line("whisker", from, middle - 4, from, middle + 4)}${line("whisker", to, middle - 4, to, middle + 4)}`;
}
