/**
 * @file What `tersor quantize` is about to do: the schemes to try with their options, and where the result may go.
 */
import { basename, dirname, extname, join, resolve } from "node:path";
import type { TargetName } from "../runtime/targets.ts";
import { parseOptions } from "../step/run.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { type OpenModel, sameFile } from "./open.ts";
import type { QuantizeFileOptions } from "./quantize-file.ts";
import { SCHEME_NAMES, SCHEMES, type SchemeName } from "./steps.ts";

export interface PlannedScheme {
  readonly scheme: SchemeName;
  /** Options of its step. */
  readonly step: Readonly<Record<string, unknown>>;
}

/**
 * The schemes to try, options checked.
 * @throws OptionError for options that none of them has, wrong values, and missing data.
 */
export function planSchemes(options: QuantizeFileOptions, targets: readonly TargetName[]): PlannedScheme[] {
  const schemes = chooseSchemes(options, targets);
  const given = Object.entries(options.step ?? {});
  const known = (scheme: SchemeName, key: string): boolean => Object.hasOwn(SCHEMES[scheme].options.shape, key);
  for (const [key] of given) {
    if (schemes.some((scheme) => known(scheme, key))) continue;
    const owners = SCHEME_NAMES.filter((scheme) => known(scheme, key));
    throw new OptionError({
      area: "quantize",
      subject: `option ${key} (--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)})`,
      problem: `expected an option of ${schemes.join(" or ")}, got one of ${owners.join(", ") || "no scheme"}`,
      help:
        owners.length > 0
          ? `Leave it out, or choose the scheme with --scheme ${owners[0]}.`
          : `Options are: ${schemes.flatMap((scheme) => Object.keys(SCHEMES[scheme].options.shape)).join(", ")}.`,
    });
  }
  return schemes.map((scheme) => {
    // Where several are tried, each takes the options that it has.
    const step = { ...Object.fromEntries(given.filter(([key]) => known(scheme, key))), target: [...targets] };
    parseOptions(SCHEMES[scheme], step);
    return { scheme, step };
  });
}

function chooseSchemes({ scheme = "auto", data }: QuantizeFileOptions, targets: readonly TargetName[]): SchemeName[] {
  if (scheme === "static-int8" && data === undefined) {
    throw new OptionError({
      area: "quantize",
      subject: "static-int8",
      problem: "expected calibration data, got none",
      help: "Give samples with --data (a folder of .npz files, or a module), or --data random to try it out.",
    });
  }
  if (scheme !== "auto") return [scheme];
  // A GPU has no integer kernels: only the file can become smaller.
  if (targets.every((target) => target === "web-webgpu")) return ["weight-int8"];
  return data !== undefined && data !== "random" ? ["static-int8"] : ["dynamic-int8", "weight-int8"];
}

/** "model.int8.onnx" beside "model.onnx". */
export function defaultOutput(path: string): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}.int8${extension || ".onnx"}`);
}

/** @throws InputError where the output, or its data file, would take the place of one of the input's files. */
export function refuseOverwrite({ path, external }: OpenModel, output: string): void {
  const inputs = [path, ...external.map((location) => resolve(dirname(path), location))];
  const isInput = (file: string): boolean =>
    inputs.some((input) => resolve(input) === resolve(file) || sameFile(input, file));
  if (isInput(output)) {
    throw new InputError({
      area: "file",
      subject: output,
      problem: "expected another file than the input, got the input itself",
      help: "The original is never overwritten: choose another output with -o.",
    });
  }
  if (isInput(`${output}_data`)) {
    throw new InputError({
      area: "file",
      subject: output,
      problem: `expected a name whose data file is free, got one whose ${basename(output)}_data is the input's own`,
      help: "The original is never overwritten: choose another output with -o.",
    });
  }
}
