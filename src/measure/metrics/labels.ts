/**
 * @file Labels as they come from npz files, folders of images and modules: numbers, text, or arrays of them.
 */
import { Tensor } from "../../tensor/tensor.ts";
import { InputError } from "../../util/errors.ts";

/** The label's numbers in order, whatever they are nested in; undefined where it is not made of numbers. */
export function labelNumbers(label: unknown): readonly number[] | undefined {
  const flat: number[] = [];
  return collect(label, (value) => {
    if (typeof value !== "number" && typeof value !== "bigint" && typeof value !== "boolean") return false;
    flat.push(Number(value));
    return true;
  })
    ? flat
    : undefined;
}

/** The label's texts in order; undefined where it is not made of text. */
export function labelTexts(label: unknown): readonly string[] | undefined {
  const flat: string[] = [];
  return collect(label, (value) => typeof value === "string" && flat.push(value) > 0) ? flat : undefined;
}

/** Rows of numbers: of a tensor [N, T] or nested arrays N, of anything else one. Undefined where it has no numbers. */
export function labelRows(label: unknown): readonly (readonly number[])[] | undefined {
  if (label instanceof Tensor && label.dims.length > 1) {
    const all = labelNumbers(label);
    const width = label.dims.at(-1)!;
    if (all === undefined || width === 0) return undefined;
    return Array.from({ length: all.length / width }, (_, row) => all.slice(row * width, (row + 1) * width));
  }
  if (Array.isArray(label) && label.some((entry) => typeof entry === "object")) {
    const rows = label.map(labelNumbers);
    return rows.includes(undefined) ? undefined : (rows as number[][]);
  }
  const row = labelNumbers(label);
  return row && [row];
}

/** @throws InputError saying what the metric takes and what the label is. */
export function refuseLabel(label: unknown, expected: string): never {
  throw new InputError({
    area: "metric",
    subject: "label",
    problem: `expected ${expected}, got ${describeLabel(label)}`,
    help: "Choose a metric that fits the labels with --metric.",
  });
}

export function describeLabel(label: unknown): string {
  if (label instanceof Tensor) return String(label);
  if (typeof label === "string") return JSON.stringify(label.length > 40 ? `${label.slice(0, 40)}…` : label);
  if (Array.isArray(label)) return `an array of ${label.length}`;
  return label !== null && typeof label === "object"
    ? `an object with ${Object.keys(label).join(", ")}`
    : String(label);
}

/** Feeds every element to `take`; false as soon as that refuses one or there is nothing to feed. */
function collect(label: unknown, take: (value: unknown) => boolean): boolean {
  if (label instanceof Tensor) {
    if (label.strings !== undefined) return label.strings.every(take);
    return label.numbers().every(take);
  }
  if (Array.isArray(label)) return label.every((entry) => collect(entry, take));
  if (ArrayBuffer.isView(label) && !(label instanceof DataView)) {
    return Array.from(label as unknown as ArrayLike<unknown>).every(take);
  }
  // The plain form that modules may write: { dims, data }.
  if (label !== null && typeof label === "object" && "data" in label) return collect(label.data, take);
  return take(label);
}
