/** @file A contact sheet: sample images with the reference and, under it, what each model file read. */

import { rename, writeFile } from "node:fs/promises";
import { createCanvas } from "./canvas.ts";
import type { Picture } from "./image.ts";
import { normalize } from "./score.ts";

export interface SheetEntry {
  readonly image: Picture;
  /** The reference text. */
  readonly text: string;
  /** A small grey note, such as font and noise. */
  readonly note?: string;
  /** What each model file read, in the order to show. */
  readonly readings: readonly { readonly file: string; readonly text: string }[];
}

export interface SheetOptions {
  readonly title?: string;
  /** Default 2. */
  readonly columns?: number;
}

/** All lengths in pixels. */
const CELL = 620;
const MARGIN = 16;
const LINE = 24;
const TEXT_SIZE = 17;
const IMAGE_HEIGHT = 48;
const TITLE_HEIGHT = 44;
const FAMILY = "ocr-dejavu-mono";

const COLORS = { ink: "#1a1a1a", muted: "#777777", right: "#166534", wrong: "#c81e1e", rule: "#dddddd" } as const;

/** Characters that the sheet's font has not (the model knows 6,000 ideographs) as their code points. */
const printable = (text: string): string =>
  text.replace(
    /[^\u0020-\u024f]/gu,
    (character) => `[U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
  );

type Context = ReturnType<ReturnType<typeof createCanvas>["getContext"]>;

/** Draws `text` from `x`, cut with an ellipsis so that it ends before `end`. */
function line(context: Context, text: string, x: number, y: number, end: number, color: string): void {
  let shown = text;
  while (shown.length > 1 && x + context.measureText(shown).width > end) shown = `${shown.slice(0, -2)}…`;
  context.fillStyle = color;
  context.fillText(shown, x, y);
}

function drawCell(context: Context, entry: SheetEntry, x: number, y: number, labelWidth: number): void {
  const { image, text, note, readings } = entry;
  const source = createCanvas(image.width, image.height);
  const pixels = source.getContext("2d").createImageData(image.width, image.height);
  pixels.data.set(image.data);
  source.getContext("2d").putImageData(pixels, 0, 0);
  const scale = Math.min(IMAGE_HEIGHT / image.height, CELL / image.width);
  context.drawImage(source, x, y, image.width * scale, image.height * scale);
  let baseline = y + IMAGE_HEIGHT + LINE;
  const row = (label: string, value: string, color: string) => {
    line(context, label, x, baseline, x + labelWidth, COLORS.muted);
    line(context, value, x + labelWidth, baseline, x + CELL, color);
    baseline += LINE;
  };
  row("reference", printable(text), COLORS.ink);
  for (const { file, text: reading } of readings) {
    const right = normalize(reading) === normalize(text);
    row(file, printable(normalize(reading)) || "(nothing)", right ? COLORS.right : COLORS.wrong);
  }
  if (note !== undefined) line(context, note, x, baseline, x + CELL, COLORS.muted);
}

/**
 * Draws the sheet: right readings green, wrong ones red, the file's name before each.
 *
 * @returns a PNG; `columns` cells of 620 pixels side by side
 */
export async function renderSheet(entries: readonly SheetEntry[], options: SheetOptions = {}): Promise<Uint8Array> {
  const columns = Math.max(1, Math.min(options.columns ?? 2, entries.length));
  const texts = 2 + Math.max(0, ...entries.map(({ readings }) => readings.length));
  const cellHeight = IMAGE_HEIGHT + LINE * texts + 2 * MARGIN;
  const rows = Math.ceil(entries.length / columns);
  const top = options.title === undefined ? 0 : TITLE_HEIGHT;
  const canvas = createCanvas(columns * (CELL + 2 * MARGIN), Math.max(1, top + rows * cellHeight));
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = `${TEXT_SIZE}px ${FAMILY}`;
  if (options.title !== undefined) line(context, options.title, MARGIN, 30, canvas.width - MARGIN, COLORS.ink);
  const labels = ["reference", ...entries.flatMap(({ readings }) => readings.map(({ file }) => file))];
  const widest = Math.max(...labels.map((label) => context.measureText(label).width));
  const labelWidth = Math.min(CELL / 2, Math.ceil(widest) + 18);
  for (const [i, entry] of entries.entries()) {
    const x = (i % columns) * (CELL + 2 * MARGIN) + MARGIN;
    const y = top + Math.floor(i / columns) * cellHeight;
    context.fillStyle = COLORS.rule;
    context.fillRect(x, y, CELL, 1);
    drawCell(context, entry, x, y + MARGIN, labelWidth);
  }
  return canvas.encode("png");
}

/** Writes `renderSheet` to `path`, under a temporary name first: an old sheet stays whole if this fails. */
export async function writeSheet(path: string, entries: readonly SheetEntry[], options?: SheetOptions): Promise<void> {
  await writeFile(`${path}.tmp`, await renderSheet(entries, options));
  await rename(`${path}.tmp`, path);
}
