/**
 * @file The workbench of the search in Node: candidates become files in a workspace, are looked at in this process and
 * proven in processes of their own.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { verifyFiles } from "../../analyze/isolated.ts";
import type { DataSpec, TargetMeasurement } from "../../analyze/job.ts";
import { groupReasons } from "../../analyze/reasons.ts";
import { type NodeSensitivity, sensitivity } from "../../analyze/sensitivity.ts";
import { openScheme } from "../../analyze/sensitivity-schemes.ts";
import type { Model } from "../../graph/model.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import type { Budget } from "../../measure/budget.ts";
import type { MetricSpec } from "../../measure/meter.ts";
import { encodeModel, joinChunks } from "../../onnx/encode.ts";
import { readFileBytes, type WriteOptions, writeModelFile } from "../../onnx/file-node.ts";
import type { BrowserSpec } from "../../runtime/browser/chromium.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { DataSource } from "../../step/data.ts";
import { runStep } from "../../step/run.ts";
import type { StepReport } from "../../step/step.ts";
import { UnsupportedError } from "../../util/errors.ts";
import { SCHEMES } from "../steps.ts";
import type { Workspace } from "../workspace.ts";
import { type Candidate, candidateKey, stepOptions } from "./candidate.ts";
import type { Proof, ProxyResult } from "./choose.ts";
import type { Looker } from "./looker.ts";
import { proofOf } from "./proof.ts";
import type { Workbench, WorkContext } from "./search.ts";
import { copyModel, type StaticFamilies } from "./static-family.ts";

/** A candidate as a file. */
export interface Made {
  readonly path: string;
  readonly files: readonly string[];
  readonly byteLength: number;
  readonly hash: string;
  readonly structure: string;
  readonly report: StepReport;
}

export interface BenchOptions {
  readonly source: string;
  /** The original as a file that runtimes load. */
  readonly original: string;
  /** After clean-up; never changed. */
  readonly cleaned: Model;
  readonly runtime: Runtime;
  readonly calibration: DataSource;
  /** Undefined without the user's samples: there is no static-int8. */
  readonly families: StaticFamilies | undefined;
  readonly looker: Looker;
  readonly workspace: Workspace;
  readonly evaluation: DataSpec;
  /** Samples of the evaluation; undefined: as many as the time allows. */
  readonly samples: number | undefined;
  readonly timeMs: number;
  readonly budget: Budget;
  readonly metrics: MetricSpec;
  readonly browser: BrowserSpec | undefined;
  readonly threads: number;
  readonly seed: number;
  readonly externalData: WriteOptions["externalData"];
}

/**
 * Samples of the evaluation: at most, and at least whatever the time. A loss of 0.6 points is proven to stay within one by
 * 2,000 samples and not by 500: the interval of a share is that wide.
 */
const MOST_SAMPLES = 2000;
const LEAST_SAMPLES = 30;
/** Runs of the original's length that proofs come to, files and original together, in the half of the time that is theirs. */
const EXPECTED_RUNS = 9;
/** Milliseconds of timed runs in a proof, per file; where there is little time, that share of it. */
const TIMING_MS = 1500;
const TIMING_SHARE = 1 / 40;
/** Samples on which nodes are ranked. */
const RANKING_SAMPLES = 8;

export class NodeBench implements Workbench {
  readonly #options: BenchOptions;
  readonly #made = new Map<string, Made>();
  readonly #measured = new Map<TargetName, TargetMeasurement>();
  #samples: number | undefined;

  /** @param earlier what an earlier run measured the originals with. */
  constructor(
    options: BenchOptions,
    earlier?: { readonly samples: number; readonly originals: readonly TargetMeasurement[] },
  ) {
    this.#options = options;
    this.#samples = options.samples ?? earlier?.samples;
    for (const original of earlier?.originals ?? []) this.#measured.set(original.target, original);
  }

  /** Of the evaluation; undefined before the first proof. */
  get samples(): number | undefined {
    return this.#samples;
  }

  /** What was measured last on a target: of it the original, and the conditions. */
  measurement(target: TargetName): TargetMeasurement | undefined {
    return this.#measured.get(target);
  }

  async proxy(candidate: Candidate, context: WorkContext): Promise<ProxyResult> {
    const made = await this.make(candidate, context);
    const { byteLength, hash, structure } = made;
    const look = await this.#options.looker.look(made.path, structure, candidate.targets, context);
    return { byteLength, hash, structure, ...look };
  }

  /** The candidate's file, made where it is not there yet. */
  async make(candidate: Candidate, context: WorkContext): Promise<Made> {
    const key = candidateKey(candidate);
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const { source, workspace, externalData } = this.#options;
    const { model, report } = await this.#quantize(candidate, context);
    if (report.changed === 0) throw nothingChanged(candidate, report);
    const structure = structureOf(model);
    model.metadata.set("tersor", JSON.stringify({ scheme: candidate.scheme, source: basename(source) }));
    const path = workspace.path(`candidate-${this.#made.size}`);
    const files = writeModelFile(path, toOnnx(model), { externalData });
    const hash = createHash("sha256");
    for (const file of files) hash.update(readFileBytes(file.path));
    const made = {
      path,
      files: files.map((file) => file.path),
      byteLength: files.reduce((sum, file) => sum + file.byteLength, 0),
      hash: hash.digest("hex").slice(0, 32),
      structure,
      report,
    };
    this.#made.set(key, made);
    return made;
  }

  async verify(
    target: TargetName,
    candidates: readonly Candidate[],
    context: WorkContext,
  ): Promise<readonly Proof[] | { readonly notRunHere: string }> {
    const { original, evaluation, budget, metrics, browser, threads, seed, timeMs } = this.#options;
    const made: Made[] = [];
    for (const candidate of candidates) made.push(await this.make(candidate, context));
    this.#samples ??= this.#affordable();
    const job = {
      target,
      files: [
        { name: "original", path: original },
        ...made.map(({ path }, index) => ({ name: `${candidates[index]!.scheme} ${index + 1}`, path })),
      ],
      data: evaluation.kind === "path" ? { ...evaluation, limit: this.#samples } : evaluation,
      threads,
      // At least a few runs: 0 would be none.
      budgetMs: Math.max(1, Math.min(TIMING_MS, TIMING_SHARE * timeMs)) * (made.length + 1),
      seed,
      browser,
      metrics: { ...metrics, fallback: true },
    };
    const result = await verifyFiles(job, { ...context, memory: false });
    if (result.notRunHere !== undefined) return { notRunHere: result.notRunHere };
    this.#measured.set(target, { ...result, files: result.files.slice(0, 1) });
    return result.files.slice(1).map((file) => proofOf(result, file, budget));
  }

  async rank(candidate: Candidate, budgetMs: number, context: WorkContext): Promise<readonly NodeSensitivity[]> {
    const { cleaned, runtime, calibration, families, looker } = this.#options;
    const float = families === undefined ? cleaned : await this.#float(candidate, context);
    const samples = looker.samples.slice(0, RANKING_SAMPLES);
    const data = { name: calibration.name, length: samples.length, samples: () => samples };
    const { equalize: _, smoothQuant: _s, biasCorrection: _b, ...step } = stepOptions(candidate);
    const own = { runtime, calibration: data, ...context };
    const open = async (): Promise<Model> => copyModel(float);
    // Where a scheme computes nothing in 8 bits, all that it does is to store weights.
    const scheme = await openScheme(candidate.scheme, open, step, own).catch((error) => {
      if (candidate.scheme === "weight-int8" || !(error instanceof UnsupportedError)) throw error;
      return openScheme("weight-int8", open, { target: step["target"] }, own);
    });
    const bytes = joinChunks(encodeModel(toOnnx(float)));
    const found = await sensitivity({ ...scheme, original: { bytes }, runtime, data, budgetMs, ...context });
    return found.nodes;
  }

  async #float(candidate: Candidate, context: WorkContext): Promise<Model> {
    const { cleaned, families } = this.#options;
    return candidate.scheme === "static-int8" ? families!.float(candidate, context) : cleaned;
  }

  async #quantize(
    candidate: Candidate,
    context: WorkContext,
  ): Promise<{ readonly model: Model; readonly report: StepReport }> {
    const { families, cleaned, runtime, calibration } = this.#options;
    if (candidate.scheme === "static-int8" && families !== undefined) return families.make(candidate, context);
    const model = copyModel(cleaned);
    const step = { ...context, runtime, calibration };
    const report = await runStep(model, SCHEMES[candidate.scheme], stepOptions(candidate), step);
    return { model, report };
  }

  /** Samples for which half of the time is enough. */
  #affordable(): number {
    const { timeMs, looker } = this.#options;
    const perSample = EXPECTED_RUNS * Math.max(looker.originalMs, 0.1);
    return Math.max(LEAST_SAMPLES, Math.min(MOST_SAMPLES, Math.floor((0.5 * timeMs) / perSample)));
  }
}

function nothingChanged({ scheme }: Candidate, { leftAlone = [] }: StepReport): UnsupportedError {
  const [first] = groupReasons(leftAlone);
  return new UnsupportedError({
    area: "compress",
    subject: scheme,
    problem: `finds nothing to do${first === undefined ? "" : ` (${first.reason})`}`,
  });
}

/**
 * A hash of everything but the numbers: operators, and types and dimensions of the constants. Runtimes choose kernels by
 * those, so files that share it run equally fast.
 */
export function structureOf(model: Model): string {
  const hash = createHash("sha256");
  for (const graph of model.graphs()) {
    for (const node of graph.nodes()) {
      const inputs = [...node.inputs].map((value) => {
        const tensor = value?.constant;
        return tensor === undefined ? (value?.name ?? "") : `${tensor.dtype}[${tensor.dims.join()}]`;
      });
      hash.update(`${node.domain}.${node.opType}(${inputs.join(";")})\n`);
    }
  }
  return hash.digest("hex").slice(0, 16);
}
