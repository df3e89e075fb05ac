/**
 * @file Reports as files, and what they need of model files beside what was measured.
 */
import { accessSync, constants, existsSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { collectDetails, type ReportDetails } from "../analyze/report/collect.ts";
import { type Report, renderReport } from "../analyze/report/render.ts";
import { compressedSizes, type Sizes } from "../measure/size.ts";
import { makeFolder, readFileBytes } from "../onnx/file-node.ts";
import { type SaturationScan, scanSaturation } from "../quantize/saturation/scan.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import { InputError, messageOf } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { type CompareFilesOptions, MOST_SAMPLES, openCleaned } from "./compare-files.ts";
import { openCalibration, openModel, sameFile } from "./open.ts";

/**
 * Refuses a path that a report cannot be written to, before hours are spent on what it would say.
 * @param others files that are read or written, too: it must not take their place. Undefined ones are passed over.
 * @throws InputError
 */
export function checkReportPath(path: string, others: readonly (string | undefined)[] = []): void {
  const help = "Give the name of an .html file to --report; nothing was done.";
  const fail = (problem: string): InputError =>
    new InputError({ area: "report", subject: path === "" ? '""' : path, problem, help });
  if (path === "" || /[\\/]$/.test(path))
    throw fail(`expected a file name, got ${path === "" ? "an empty one" : "a folder"}`);
  if (existsSync(path) && statSync(path).isDirectory()) throw fail("expected a file name, got a folder");
  const taken = others.some((other) => other && (resolve(other) === resolve(path) || sameFile(other, path)));
  if (taken) throw fail("expected a name of its own, got that of another file of this run");
  if (/\.onnx(_data)?$/i.test(path)) throw fail("expected a name of its own, got a model's");
  let folder = dirname(resolve(path));
  while (!existsSync(folder)) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) throw fail("a part of its path is a file, not a folder");
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw fail("its folder may not be written (permission denied)");
  }
}

/**
 * Writes a report: whole, or not at all.
 * @throws InputError where it cannot be written.
 */
export function writeReport(path: string, report: Report): void {
  checkReportPath(path);
  const text = renderReport(report);
  const partial = `${path}.${process.pid}.partial`;
  try {
    makeFolder(dirname(resolve(path)));
    writeFileSync(partial, text);
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new InputError({
      area: "report",
      subject: path,
      problem: `cannot be written: ${messageOf(cause)}`,
      help: "Choose another file with --report.",
      cause,
    });
  }
}

export interface FileDetailsOptions extends CompareFilesOptions {
  /** Milliseconds. Default 60,000. */
  readonly budgetMs?: number;
}

/** Files above it are not looked into: a minute would not be enough. */
const MOST_BYTES = 500e6;

/** {@link collectDetails} of two files, the second being made from the first. What fails is left out and said. */
export async function detailsOfFiles(
  original: string,
  other: string,
  options: FileDetailsOptions = {},
  { progress, signal }: { readonly progress?: Progress; readonly signal?: AbortSignal } = {},
): Promise<ReportDetails> {
  const { data, load, shape: shapes, seed, budgetMs, allowExternalOutside } = options;
  const samples = Math.min(options.samples ?? 4, MOST_SAMPLES);
  try {
    const quantized = openModel(other, { allowOutside: allowExternalOutside });
    const runtime = await createAnyRuntime();
    const { opened, model } = await openCleaned(original, runtime, allowExternalOutside);
    if (opened.byteLength > MOST_BYTES) {
      return { leftOut: [`Values inside were not compared: the model has more than ${MOST_BYTES / 1e6} MB.`] };
    }
    const source = await openCalibration(opened, { data, options: load, limit: samples, shapes, seed }, runtime);
    return await collectDetails({
      original: model,
      quantized: quantized.model(),
      runtime,
      data: source,
      samples,
      budgetMs,
      progress,
      signal,
    });
  } catch (error) {
    // The report is about a file that was measured: what is missing in it is no reason to have none.
    signal?.throwIfAborted();
    return { leftOut: [`Values inside were not compared: ${messageOf(error).replace(/\.+$/, "")}.`] };
  }
}

/** Files above it are not compressed to see how they travel. */
const MOST_COMPRESSED = 100e6;

/** What a model file without data files weighs over the network; undefined where that would take long. */
export async function travelSizes(path: string, byteLength: number): Promise<Sizes | undefined> {
  const bytes = byteLength <= MOST_COMPRESSED ? readFileBytes(path) : undefined;
  return bytes === undefined || bytes.byteLength !== byteLength ? undefined : compressedSizes(bytes);
}

/** Undefined where the file cannot be read: its verdict says so. */
export function scanFile(path: string, allowOutside?: boolean): SaturationScan | undefined {
  try {
    return scanSaturation(openModel(path, { allowOutside }).model());
  } catch {
    return undefined;
  }
}
