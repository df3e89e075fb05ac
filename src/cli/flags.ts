/**
 * @file Command-line flags from the option tables of steps, and the parsers that several commands share.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { LOAD_NAMES, LOAD_OPTIONS, type LoadSpec } from "../data/load-spec.ts";
import { type Budget, parseBudget } from "../measure/budget.ts";
import type { MetricSpec } from "../measure/meter.ts";
import { findMetric, METRIC_NAMES, SCORE } from "../measure/metrics/list.ts";
import { metricOptions } from "../measure/metrics/options.ts";
import { readKeyFile } from "../recipe/finetune-texts.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import { TARGET_NAMES, type TargetName } from "../runtime/targets.ts";
import { messageOf, OptionError } from "../util/errors.ts";

interface JsonField {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly items?: { readonly type?: string; readonly enum?: readonly string[] };
  readonly default?: unknown;
  readonly description?: string;
}

/** The fields of an option table, as JSON Schema tells them. */
export function fieldsOf(options: z.ZodObject): Readonly<Record<string, JsonField>> {
  return z.toJSONSchema(options, { io: "input" }).properties as Record<string, JsonField>;
}

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Adds a flag for every field of the tables, each once; returns their names. */
export function addStepFlags(command: Command, tables: readonly z.ZodObject[], skip: readonly string[]): string[] {
  const added: string[] = [];
  for (const table of tables) {
    for (const [name, field] of Object.entries(fieldsOf(table))) {
      if (added.includes(name) || skip.includes(name)) continue;
      added.push(name);
      command.addOption(flagFor(name, field));
    }
  }
  return added;
}

function flagFor(name: string, field: JsonField): Option {
  const flag = kebab(name);
  const initial = field.default;
  const shown = initial === undefined || typeof initial === "boolean" ? "" : ` (default: ${format(initial)})`;
  const text = `${field.description ?? ""}${shown}`;
  switch (field.type) {
    case "boolean":
      // What is on by default gets a flag that turns it off.
      return initial === true ? new Option(`--no-${flag}`, `do not ${text}`) : new Option(`--${flag}`, text);
    case "number":
    case "integer":
      return new Option(`--${flag} <number>`, text).argParser(parseNumber);
    case "array":
      return new Option(`--${flag} <list>`, text).argParser(parseList);
    default:
      return field.enum
        ? new Option(`--${flag} <name>`, text).choices([...field.enum])
        : new Option(`--${flag} <text>`, text);
  }
}

function format(value: unknown): string {
  return Array.isArray(value) ? value.join(",") || "none" : String(value);
}

export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}

/** Whole number from 1 up. */
export function parseCount(text: string): number {
  const value = parseNumber(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("Expected a whole number from 1 up.");
  return value;
}

export function parseList(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(",").map((part) => part.trim())].filter((part) => part !== "");
}

/** "10s", "2m", "500ms" as milliseconds; a plain number is seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Expected a time such as 3s, 500ms or 2m.");
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? "s"]!;
  return Number(match[1]) * unit;
}

export function parseTargets(text: string): string[] {
  const names = [...new Set(parseList(text))];
  if (names.length === 0) throw new InvalidArgumentError(`Expected one or more of ${TARGET_NAMES.join(", ")}.`);
  for (const name of names) {
    if (!(TARGET_NAMES as readonly string[]).includes(name)) {
      throw new InvalidArgumentError(`Expected one or more of ${TARGET_NAMES.join(", ")}, got ${name}.`);
    }
  }
  return names;
}

/** "x=1,3,48,320", several times: shapes of generated inputs. */
export function parseShape(
  text: string,
  before: Readonly<Record<string, readonly number[]>> = {},
): Record<string, readonly number[]> {
  const at = text.lastIndexOf("=");
  const parts = text.slice(at + 1).split(/[,x]/);
  const dims = parts.map(Number);
  if (at < 1 || !parts.every((part) => /^\s*\d+\s*$/.test(part))) {
    throw new InvalidArgumentError("Expected an input's name and its dimensions, such as x=1,3,224,224.");
  }
  return { ...before, [text.slice(0, at)]: dims };
}

/** What {@link addMeasureFlags} parses. */
export interface MeasureFlags extends LoadFlags {
  readonly samples?: number;
  readonly target?: readonly TargetName[];
  readonly shape?: Readonly<Record<string, readonly number[]>>;
  readonly threads?: number;
  readonly time?: number;
  readonly browser?: string;
  readonly ortWeb?: string;
  readonly memory: boolean;
  readonly seed?: number;
  readonly allowExternalOutside?: boolean;
  readonly json?: boolean;
  readonly report?: string;
}

/** What {@link addLoadFlags} parses, with the path and the seed that they are about. */
export interface LoadFlags extends Omit<LoadSpec, "preprocess" | "model"> {
  readonly data?: string;
  readonly preprocess?: string;
}

/** The flags that say how data are read. */
export function addLoadFlags(command: Command): Command {
  addStepFlags(command, [LOAD_OPTIONS], []);
  return command.option("--no-shuffle", "read images in the order of their names");
}

/**
 * How the data are read, from the flags.
 * @throws OptionError where there are such flags, but no data.
 */
export function loadSpec(flags: LoadFlags, model?: string): LoadSpec {
  const given = LOAD_NAMES.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]]);
  const [first] = given;
  if (first !== undefined && (flags.data === undefined || flags.data === "random")) {
    throw new OptionError({
      area: "data",
      subject: `--${kebab(String(first[0]))}`,
      problem: "expected --data with samples that it says something about, got none",
    });
  }
  return { ...Object.fromEntries(given), seed: flags.seed ?? 0, ...(model !== undefined && { model }) };
}

/** The browser that the flags ask for; undefined: none is asked for, and only web-webgpu needs one. */
export function browserSpec({ browser, ortWeb }: Pick<MeasureFlags, "browser" | "ortWeb">): BrowserSpec | undefined {
  return browser === undefined && ortWeb === undefined ? undefined : { path: browser, ortWeb };
}

/** What the flags of {@link addMeasureFlags} say, as the recipes take it. */
export function measureOptions(flags: MeasureFlags) {
  return {
    data: flags.data,
    load: loadSpec(flags),
    samples: flags.samples,
    targets: flags.target,
    shapes: flags.shape,
    threads: flags.threads,
    budgetMs: flags.time,
    browser: browserSpec(flags),
    memory: flags.memory,
    seed: flags.seed,
    allowOutside: flags.allowExternalOutside,
  } as const;
}

/** The flags that say what models are measured with. */
export function addMeasureFlags(command: Command): Command {
  command.option("--data <path>", "samples: .npz or .npy, images, texts, or a module; 'random' generates them");
  return addLoadFlags(command)
    .option("--samples <number>", "samples to compare on (default: 100)", parseCount)
    .option("--target <names>", "runtimes, comma-separated: node-cpu, web-wasm, web-webgpu", parseTargets)
    .option("--shape <name=dims>", "shape of a generated input, such as x=1,3,224,224", parseShape)
    .option("--threads <number>", "threads within an operator (default: 1)", parseCount)
    .option("--time <duration>", "time for the timed runs of each target (default: 3s)", parseDuration)
    .option("--browser <path>", "a Chrome, Chromium or Edge for web-wasm and web-webgpu; 'auto' finds one")
    .option("--ort-web <folder>", "another onnxruntime-web to load in the browser")
    .option("--no-memory", "do not measure peak memory")
    .option(
      "--seed <number>",
      "seed of generated inputs, of shuffled samples and of intervals (default: 0)",
      parseNumber,
    )
    .option("--allow-external-outside", "read external data outside of the model's folder")
    .option("--json", "print one JSON document on standard output, and nothing else there")
    .option("--report <file>", "write a report for people, too: one HTML file that needs nothing else");
}

/** What {@link addMetricFlags} parses, beside the options of metrics. */
export interface MetricFlags {
  readonly metric?: readonly string[];
  readonly maxDrop?: Budget;
  readonly ctcKeys?: readonly string[];
}

/** The flags that say by what metrics a file is judged, and how much of them it may lose. */
export function addMetricFlags(command: Command, { drop = true } = {}): { spec(flags: object): MetricSpec } {
  command.option(
    "--metric <names>",
    `what answers are judged by, comma-separated: ${METRIC_NAMES.join(", ")} (default: score, else top-1 where labels are classes)`,
    parseMetrics,
  );
  if (drop) {
    command.option("--max-drop <loss>", "exit status 1 where a metric may have lost more: 1pt or 1%", parseDrop);
  }
  const names = addStepFlags(command, [metricOptions], ["ctcKeys"]);
  command.option(
    "--ctc-keys <file>",
    `${fieldsOf(metricOptions)["ctcKeys"]?.description}: a file, one a line`,
    readKeys,
  );
  return {
    spec(flags) {
      const given = flags as MetricFlags & Readonly<Record<string, unknown>>;
      const options = Object.fromEntries(
        [...names, "ctcKeys"].map((name) => [name, given[name]]).filter(([, value]) => value !== undefined),
      );
      return { ...(given.metric && { names: given.metric }), options, fallback: given.maxDrop !== undefined };
    },
  };
}

function parseMetrics(text: string, before: readonly string[] = []): string[] {
  const names = [...new Set(parseList(text, before))];
  for (const name of names) {
    try {
      if (name !== SCORE) findMetric(name);
    } catch {
      throw new InvalidArgumentError(`Expected one or more of ${METRIC_NAMES.join(", ")}, got ${name}.`);
    }
  }
  if (names.length === 0) throw new InvalidArgumentError(`Expected one or more of ${METRIC_NAMES.join(", ")}.`);
  return names;
}

function parseDrop(text: string): Budget {
  try {
    return parseBudget(text);
  } catch {
    throw new InvalidArgumentError("Expected points or a percentage, such as 1pt or 0.5%.");
  }
}

/** The text of each class, one a line. Spaces count: one of the characters may be one. */
function readKeys(path: string): string[] {
  try {
    return readKeyFile(path);
  } catch (error) {
    throw new InvalidArgumentError(`Expected a text file: ${messageOf(error)}`);
  }
}
