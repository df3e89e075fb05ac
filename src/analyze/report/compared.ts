/**
 * @file What sections are made of: files and their measurements, the same for every command.
 */
import type { Drop } from "../drops.ts";
import type { FileMeasurement, TargetMeasurement } from "../job.ts";
import { type Judgement, judge } from "../judge.ts";
import { type Html, html } from "./html.ts";

/** A file of a measurement, with the original that it was measured against. */
export interface Compared {
  readonly result: TargetMeasurement;
  readonly original: FileMeasurement;
  readonly file: FileMeasurement;
  readonly judgement: Judgement;
}

/** Every file but the originals, target by target. */
export function comparedFiles(targets: readonly TargetMeasurement[]): Compared[] {
  return targets.flatMap((result) => {
    const [original, ...files] = result.files;
    if (original === undefined) return [];
    return files.map((file) => ({ result, original, file, judgement: judge(file, original) }));
  });
}

/** A row's name: the target alone where only one file was compared. */
export function labelOf({ result, file }: Compared, all: readonly Compared[]): string {
  const several = new Set(all.map((entry) => entry.file.name)).size > 1;
  return several ? `${file.name} on ${result.target}` : result.target;
}

/** The same, with a target's name that lines do not break. */
export function labelPart(entry: Compared, all: readonly Compared[]): Html {
  const label = labelOf(entry, all);
  const { target } = entry.result;
  return html`${label.slice(0, label.length - target.length)}<span class="short">${target}</span>`;
}

/** Of a target's file. */
export function dropsOf(drops: readonly Drop[], { result, file }: Compared): readonly Drop[] {
  return drops.filter((drop) => drop.target === result.target && drop.file === file.name);
}
