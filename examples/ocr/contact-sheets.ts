/** @file The demo's two contact sheets: samples as they come, and samples that the files read differently. */

import { join } from "node:path";
import { SEED } from "./data.ts";
import type { TargetReadings } from "./evaluate.ts";
import type { ModelFile } from "./models.ts";
import { normalize } from "./score.ts";
import { type SheetEntry, writeSheet } from "./sheet.ts";
import { createSample } from "./text.ts";

/** Cells of a sheet. */
const CELLS = 12;

/** What `file` read of a sample on each target where it ran; one entry where they read the same. */
function readingsOf(file: number, sample: number, names: readonly string[], targets: readonly TargetReadings[]) {
  const all = targets.flatMap(({ target, files }) => {
    const own = files[file]!;
    const text = "texts" in own ? own.texts[sample] : undefined;
    return text === undefined ? [] : [{ target, text: normalize(text) }];
  });
  const same = all.every(({ text }) => text === all[0]!.text);
  const name = names[file]!;
  return same
    ? all.slice(0, 1).map(({ text }) => ({ file: name, text }))
    : all.map(({ target, text }) => ({ file: `${name} ${target}`, text }));
}

function entryOf(sample: number, names: readonly string[], targets: readonly TargetReadings[]): SheetEntry {
  const { image, text, font, size, noise } = createSample(SEED, "evaluation", sample);
  const readings = names.flatMap((_, file) => readingsOf(file, sample, names, targets));
  return { image, text, note: `#${sample} ${font.replace("ocr-", "")}, ${size} px, ${noise}`, readings };
}

/**
 * Samples that some file reads differently than the original, up to `count`: files take turns, the last one first
 * (static-int8), so that a file with many differences does not crowd out the others.
 *
 * @param differs per file, the samples that it reads differently
 */
export function pickDifferent(differs: readonly (readonly number[])[], count: number): number[] {
  const picked = new Set<number>();
  const queues = differs.map((samples) => [...samples]).reverse();
  while (picked.size < count && queues.some((queue) => queue.length > 0)) {
    for (const queue of queues) {
      const next = queue.shift();
      if (next !== undefined && picked.size < count) picked.add(next);
    }
  }
  return [...picked].sort((a, b) => a - b);
}

/** Writes the sheets into `folder` and returns their paths; the second only where anything differs. */
export async function writeSheets(
  folder: string,
  files: readonly ModelFile[],
  targets: readonly TargetReadings[],
): Promise<string[]> {
  const names = files.map(({ name }) => name);
  const samples = Math.max(...targets.map((target) => target.samples));
  const indices = Array.from({ length: samples }, (_, i) => i);
  const differs = names.slice(1).map((_, i) =>
    indices.filter((sample) =>
      targets.some(({ files: [original, ...others] }) => {
        const own = others[i]!;
        if (!("texts" in original!) || !("texts" in own) || sample >= own.texts.length) return false;
        return normalize(own.texts[sample]!) !== normalize(original.texts[sample]!);
      }),
    ),
  );
  const sheet = async (name: string, chosen: readonly number[], title: string): Promise<string> => {
    const path = join(folder, name);
    const entries = chosen.map((sample) => entryOf(sample, names, targets));
    await writeSheet(path, entries, { title });
    return path;
  };
  const first = indices.slice(0, CELLS);
  const paths = [await sheet("readings.png", first, `The first ${first.length} of ${samples} samples`)];
  const different = pickDifferent(differs, CELLS);
  if (different.length > 0) {
    const counts = names.slice(1).map((name, i) => `${name} ${differs[i]!.length}`);
    const title = `Read differently than by the original, of ${samples} samples: ${counts.join(", ")}`;
    paths.push(await sheet("differences.png", different, title));
  }
  return paths;
}
