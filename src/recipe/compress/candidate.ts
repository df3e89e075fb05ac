/**
 * @file One way to make a model smaller: a scheme with options, how it is called, and the command that makes it.
 */
import { TARGET_NAMES, type TargetName } from "../../runtime/targets.ts";
import { SCHEMES, type SchemeName } from "../steps.ts";

export interface Candidate {
  readonly scheme: SchemeName;
  /** Options of its step that are not the defaults, without the targets. */
  readonly step: Readonly<Record<string, unknown>>;
  /** The targets that it is meant for. */
  readonly targets: readonly TargetName[];
}

/** Equal for candidates that make the same file. */
export function candidateKey({ scheme, step, targets }: Candidate): string {
  const options = Object.entries(step).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([scheme, options, TARGET_NAMES.filter((name) => targets.includes(name))]);
}

/** Options whose names alone say enough, in the words of a table. */
const WORDS: Readonly<Record<string, (value: unknown) => string>> = {
  observer: String,
  percentile: (value) => `${value} %`,
  equalize: () => "equalized",
  smoothQuant: (value) => (value === "auto" ? "smoothed" : `smoothed ${value}`),
  biasCorrection: (value) => `${value} bias`,
  minElements: (value) => `from ${value} weights`,
  minStored: (value) => `stored from ${value}`,
  minSqnr: (value) => `down to ${value} dB`,
  storeRest: (value) => (value === false ? "rest in float" : "rest stored"),
  force: () => "all nodes",
  exclude: (value) => `${(value as readonly string[]).length} left out`,
  override: (value) => `${(value as readonly unknown[]).length} in float`,
};

/** "static-int8 mse, equalized, 4 in float". @param all the targets of the search: fewer are named. */
export function candidateName({ scheme, step, targets }: Candidate, all: readonly TargetName[]): string {
  const parts = Object.entries(step).map(([key, value]) => WORDS[key]?.(value) ?? `${key} ${JSON.stringify(value)}`);
  if (targets.length < all.length) parts.push(`for ${targets.join(", ")}`);
  return [scheme, parts.join(", ")].filter((part) => part !== "").join(" ");
}

/** The options of the step as it runs. */
export function stepOptions({ step, targets }: Candidate): Record<string, unknown> {
  return { ...step, target: [...targets] };
}

/** Flags of `tersor quantize` that make it. Names with characters that end a flag's part are written as patterns. */
export function quantizeFlags(candidate: Candidate): string[] {
  return ["--scheme", candidate.scheme, "--target", candidate.targets.join(","), ...flagsOf(candidate.step)];
}

/** Options as flags. */
export function flagsOf(options: Readonly<Record<string, unknown>>): string[] {
  const flags: string[] = [];
  for (const [key, value] of Object.entries(options)) {
    const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === true) flags.push(flag);
    else if (value === false) flags.push(flag.replace("--", "--no-"));
    else if (Array.isArray(value)) flags.push(flag, value.map(listItem).join(","));
    else flags.push(flag, String(value));
  }
  return flags;
}

function listItem(item: unknown): string {
  const pattern = (text: string): string => text.replace(/[,\s]/g, "?");
  if (typeof item === "string") return pattern(item);
  const { node } = item as { readonly node: string };
  return `${pattern(node)} float`;
}

/** A word of a command line. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Whether the scheme has an option of this name. */
export function hasOption(scheme: SchemeName, key: string): boolean {
  return Object.hasOwn(SCHEMES[scheme].options.shape, key);
}
