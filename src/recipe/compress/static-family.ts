/**
 * @file Makes candidates of static-int8 that share what takes long: one calibration serves every observer, choice of nodes
 * and target of a float model. Corrections that change the float model make another one of it, with its own calibration.
 */
import { fromOnnx } from "../../graph/from-onnx.ts";
import type { Model } from "../../graph/model.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import { verifyModel } from "../../graph/verify.ts";
import { firstFeeds } from "../../quantize/first-feeds.ts";
import { calibrateTogether } from "../../quantize/static/calibrate.ts";
import { convert } from "../../quantize/static/convert.ts";
import { correctAfter, correctBefore, joinReports } from "../../quantize/static/corrections.ts";
import { DEFAULT_OBSERVER, type StaticOptions } from "../../quantize/static/options.ts";
import { type Prepared, prepare } from "../../quantize/static/prepare.ts";
import { adoptCalibration } from "../../quantize/static/statistics.ts";
import { staticInt8 } from "../../quantize/static-int8.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { DataSource } from "../../step/data.ts";
import { parseOptions } from "../../step/run.ts";
import type { StepReport } from "../../step/step.ts";
import { UnsupportedError } from "../../util/errors.ts";
import { type Candidate, stepOptions } from "./candidate.ts";
import { NoTimeError, type WorkContext } from "./search.ts";
import { LEAST_ELEMENTS, OBSERVER_GROUPS } from "./space.ts";

/** A copy with weights that are the same bytes. */
export function copyModel(model: Model): Model {
  return fromOnnx(toOnnx(model), model.external);
}

/** Calibrations of the default that one with observer auto comes to: it watches with four. */
const CHOOSING = 5;
/** Calibrations that SmoothQuant with a choice of alphas, and calibrating again, come to. */
const SMOOTHING = 4;

function nothingToCorrect({ equalize, smoothQuant }: StaticOptions): UnsupportedError {
  const names = [equalize ? "cross-layer-equalization" : "", smoothQuant === 0 ? "" : "smooth-quant"];
  return new UnsupportedError({
    area: "quantize",
    subject: names.filter((name) => name !== "").join(", "),
    problem: "expected layers that it can change, found none",
  });
}

interface Family {
  /** The float model after its corrections; never changed. */
  readonly float: Model;
  readonly reports: readonly StepReport[];
  /** Calibrated, by observer. */
  readonly calibrated: Map<string, Prepared>;
}

export class StaticFamilies {
  readonly #cleaned: Model;
  readonly #runtime: Runtime;
  readonly #calibration: DataSource;
  readonly #families = new Map<string, Family>();
  /** What the first calibration took. */
  #calibrationMs: number | undefined;

  /** @param cleaned the model after clean-up. */
  constructor(cleaned: Model, runtime: Runtime, calibration: DataSource) {
    this.#cleaned = cleaned;
    this.#runtime = runtime;
    this.#calibration = calibration;
  }

  /** The float model that a candidate quantizes. */
  async float(candidate: Candidate, context: WorkContext): Promise<Model> {
    const { float } = await this.#family(parseOptions(staticInt8, stepOptions(candidate)), context);
    return copyModel(float);
  }

  /** What the step `static-int8` makes with the candidate's options. @throws as the step. */
  async make(
    candidate: Candidate,
    context: WorkContext,
  ): Promise<{ readonly model: Model; readonly report: StepReport }> {
    const options = parseOptions(staticInt8, stepOptions(candidate));
    const family = await this.#family(options, context);
    const model = copyModel(family.float);
    const prepared = await this.#calibrated(model, options, family, context);
    const main = convert(prepared, { unseen: "float" });
    if (options.biasCorrection === "empirical") this.#expect(2, context);
    const step = { ...context, runtime: this.#runtime, calibration: this.#calibration };
    const after = await correctAfter(model, copyModel(family.float), options, step);
    for (const graph of model.graphs()) graph.sort();
    verifyModel(model);
    return { model, report: joinReports([...family.reports, main, ...(after === undefined ? [] : [after])]) };
  }

  /** @throws NoTimeError where work that takes so many calibrations has no chance. */
  #expect(calibrations: number, { limitMs }: WorkContext): void {
    if (calibrations * (this.#calibrationMs ?? 0) > limitMs) throw new NoTimeError("the time was up");
  }

  async #family(options: StaticOptions, context: WorkContext): Promise<Family> {
    const { equalize, smoothQuant } = options;
    const key = JSON.stringify([equalize, smoothQuant]);
    const known = this.#families.get(key);
    if (known !== undefined) return known;
    if (smoothQuant !== 0) this.#expect(SMOOTHING, context);
    else if (equalize) this.#expect(2, context);
    const float = copyModel(this.#cleaned);
    const step = { ...context, runtime: this.#runtime, calibration: this.#calibration };
    const reports = await correctBefore(float, options, step);
    if (reports.length > 0 && reports.every(({ changed }) => changed === 0)) throw nothingToCorrect(options);
    const family = { float, reports, calibrated: new Map() };
    this.#families.set(key, family);
    return family;
  }

  /** Prepared on `model`, with what calibration has seen. */
  async #calibrated(model: Model, options: StaticOptions, family: Family, context: WorkContext): Promise<Prepared> {
    const feeds = await firstFeeds(this.#calibration);
    const fresh = (): Promise<Prepared> => prepare(model, options, { runtime: this.#runtime, feeds });
    const observer = options.observer ?? DEFAULT_OBSERVER;
    if (!family.calibrated.has(observer)) await this.#calibrate(family, observer, options, context);
    const prepared = await fresh();
    if (adoptCalibration(prepared, family.calibrated.get(observer)!).length === 0) return prepared;
    // Observers that went on from there would count the same samples twice.
    const alone = await fresh();
    await calibrateTogether([alone], this.#calibration, { ...context, runtime: this.#runtime });
    return alone;
  }

  /** Everything that any candidate of the space observes, for the observers that are likely to be asked for. */
  async #calibrate(family: Family, observer: string, options: StaticOptions, context: WorkContext): Promise<void> {
    const model = copyModel(family.float);
    const feeds = await firstFeeds(this.#calibration);
    const group = OBSERVER_GROUPS.find((names) => (names as readonly string[]).includes(observer));
    // On a corrected model only the observer that was best without is asked for.
    const names: readonly string[] = family.reports.length > 0 || group === undefined ? [observer] : group;
    this.#expect(observer === DEFAULT_OBSERVER ? 1 : observer === "auto" ? CHOOSING : 1 + names.length, context);
    const start = performance.now();
    const all: Prepared[] = [];
    for (const name of names) {
      const given = {
        target: options.target,
        observer: name as StaticOptions["observer"],
        percentile: options.percentile,
      };
      const widest = { ...given, minElements: LEAST_ELEMENTS, force: true };
      all.push(await prepare(model, widest, { runtime: this.#runtime, feeds }));
    }
    const [first, ...rest] = all;
    await calibrateTogether([first!, ...rest], this.#calibration, { ...context, runtime: this.#runtime });
    for (const prepared of all) family.calibrated.set(prepared.options.observer!, prepared);
    this.#calibrationMs ??= performance.now() - start;
  }
}
