/**
 * @file Judges model files that somebody made: says of each whether it loads, agrees with the original, is faster, and
 * is as small as its kind should be.
 */
import { basename } from "node:path";
import type { MetricSpec } from "../measure/meter.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import type { TargetName } from "../runtime/targets.ts";
import { formatRatio } from "../util/format.ts";
import type { Family } from "./families.ts";
import type { FileFacts } from "./file-facts.ts";
import { CrashError, type VerifyOptions, verifyFiles } from "./isolated.ts";
import type { DataSpec, FileMeasurement, TargetMeasurement } from "./job.ts";
import { type FindingKind, judge } from "./judge.ts";

export { type Family, type FamilyOptions, findFamilies } from "./families.ts";

/** What is wrong with a file: what its measurement shows, or what it is compared and sized by. */
export interface Problem {
  readonly kind: FindingKind | "not-compared" | "size";
  /** Where; none where it does not depend on the target. */
  readonly targets: readonly TargetName[];
  /** One sentence without its subject. */
  readonly text: string;
}

export interface DoctorFile {
  readonly path: string;
  readonly kind: string | undefined;
  readonly byteLength: number;
  /** Against the original's size. */
  readonly ratio: number | undefined;
  readonly perTarget: Readonly<Record<string, FileMeasurement>>;
  /** Each kind once, for all targets on which it was found. */
  readonly problems: readonly Problem[];
  /** False: does not load or run, or disagrees with the original, on some target. */
  readonly usable: boolean;
}

export interface DoctorGroup {
  readonly original: DoctorFile;
  readonly others: readonly DoctorFile[];
  /** Not all were found by name: see {@link Family}. */
  readonly guessed: boolean;
  readonly targets: readonly TargetMeasurement[];
}

export interface DoctorOptions extends VerifyOptions {
  readonly targets: readonly TargetName[];
  readonly data: DataSpec;
  readonly threads: number;
  readonly budgetMs: number;
  readonly seed: number;
  /** See {@link VerifyJob}. */
  readonly browser?: BrowserSpec;
  readonly metrics?: MetricSpec;
  /** The file to load instead of another, where a runtime would refuse that one's external data. */
  readonly runnable?: (path: string) => string;
}

/** Examines one family on all targets. */
export async function examine(family: Family, options: DoctorOptions): Promise<DoctorGroup> {
  const facts = [family.original, ...family.others];
  const targets: TargetMeasurement[] = [];
  for (const target of options.targets) targets.push(await measure(facts, target, options));
  const [original, ...others] = facts.map((file, index) => report(file, index, family.original, targets));
  return { original: original!, others, guessed: family.guessed, targets };
}

async function measure(
  facts: readonly FileFacts[],
  target: TargetName,
  options: DoctorOptions,
): Promise<TargetMeasurement> {
  const files = facts.map(({ path }) => ({ name: basename(path), path: options.runnable?.(path) ?? path }));
  const { data, threads, seed, browser, metrics } = options;
  // More files share the time of a round.
  const budgetMs = options.budgetMs * Math.max(1, Math.log2(files.length));
  const job = { target, files, data, threads, budgetMs, seed, browser, metrics, tolerant: true };
  try {
    return await verifyFiles(job, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof CrashError)) throw error;
    // The original takes the runtime down: nothing was compared.
    const [original, ...others] = files.map(({ name }): FileMeasurement => ({ name }));
    const crashed = { ...original!, error: { stage: "load", message: error.what } as const };
    return { target, files: [crashed, ...others] };
  }
}

function report(
  facts: FileFacts,
  index: number,
  original: FileFacts,
  targets: readonly TargetMeasurement[],
): DoctorFile {
  const perTarget: Record<string, FileMeasurement> = {};
  const found = new Map<string, { readonly kind: Problem["kind"]; text: string; readonly targets: TargetName[] }>();
  const add = (kind: Problem["kind"], text: string, target?: TargetName): void => {
    // How much slower differs from target to target; the rest is one fact.
    const key = kind === "slower" ? `${kind} ${target}` : kind;
    const entry = found.get(key) ?? { kind, text, targets: [] };
    if (kind === "output" && text.startsWith("disagrees") && !entry.text.startsWith("disagrees")) entry.text = text;
    if (target !== undefined && !entry.targets.includes(target)) entry.targets.push(target);
    found.set(key, entry);
  };
  let usable = true;
  for (const result of targets) {
    const measured = result.files[index];
    if (measured === undefined) continue;
    perTarget[result.target] = measured;
    const reference = result.files[0]!;
    const verdict = judge(measured, index > 0 ? reference : undefined);
    usable &&= verdict.usable;
    for (const { kind, text } of verdict.findings) {
      // Whoever wrote the reader knows better than the runtime what is wrong with the bytes.
      const why = kind === "load" && facts.problem !== undefined ? `does not load: ${facts.problem}` : text;
      add(kind, why, result.target);
    }
    if (index > 0 && reference.error !== undefined && measured.error === undefined) {
      add("not-compared", `not compared: the original does not ${reference.error.stage}`, result.target);
    }
  }
  if (facts.problem !== undefined && !found.has("load")) add("load", `cannot be read: ${facts.problem}`);
  const ratio =
    original.problem === undefined && original.byteLength > 0 ? facts.byteLength / original.byteLength : undefined;
  if (index > 0 && ratio !== undefined && facts.problem === undefined)
    addSize(facts, ratio, (text) => add("size", text));
  return {
    path: facts.path,
    kind: facts.kind?.kind,
    byteLength: facts.byteLength,
    ratio: index === 0 ? undefined : ratio,
    perTarget,
    problems: [...found.values()],
    usable,
  };
}

function addSize({ kind }: FileFacts, ratio: number, add: (text: string) => void): void {
  const size = formatRatio(ratio);
  if (kind !== undefined && ratio > kind.largest) {
    add(
      `larger than it should be: ${size} of the original, where ${kind.kind} would be about ${formatRatio(kind.expected)}`,
    );
  } else if (ratio > 1.02) add(`larger than the original: ${size}`);
}
