/**
 * @file Peak memory of calibrating PP-OCR's detection model on large pages, for each observer in a process of its own.
 *
 *   npx tsx bench/calibration-memory.ts [--observer min-max --observer mse] [--images 300] [--size 960] [--step '{"budget":128}']
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { OBSERVER_NAMES } from "../src/quantize/observers/list.ts";
import { runTypeScript } from "./child-process.ts";
import { report } from "./report.ts";
import { detection } from "./tasks/ocr.ts";
import { WORK } from "./tasks/samples.ts";

const { values: flags } = parseArgs({
  options: {
    observer: { type: "string", multiple: true, default: [...OBSERVER_NAMES] },
    images: { type: "string", default: "300" },
    size: { type: "string", default: "960" },
    /** JSON: more options of static-int8. */
    step: { type: "string", default: "{}" },
    /** Minutes that one observer may take. */
    limit: { type: "string", default: "60" },
  },
});

/** The goal of the road map. */
const GOAL_BYTES = 1.5e9;

interface Result {
  readonly observer: string;
  readonly images: number;
  readonly size: number;
  readonly step: unknown;
  readonly peakBytes?: number;
  readonly baseBytes?: number;
  readonly seconds?: number;
  readonly notes?: readonly string[];
  readonly error?: string;
}

const folder = join(WORK, "calibration-memory");
mkdirSync(folder, { recursive: true });
const step = JSON.parse(flags.step) as Record<string, unknown>;
const results: Result[] = [];
for (const observer of flags.observer) {
  const about = { observer, images: Number(flags.images), size: Number(flags.size), step };
  const options = {
    scheme: "static-int8",
    output: join(folder, `${observer}.onnx`),
    data: fileURLToPath(new URL("./tasks/large-pages.ts", import.meta.url)),
    calibrationSamples: about.images,
    step: { ...step, observer },
  };
  const run = await runTypeScript(
    new URL("./quantize-tersor.ts", import.meta.url),
    { model: detection.path, options },
    { env: { TERSOR_PAGE_SIZE: flags.size }, timeoutMs: 60_000 * Number(flags.limit) },
  );
  if ("error" in run) results.push({ ...about, error: run.error });
  else {
    const { peakBytes, baseBytes, seconds, notes } = run;
    results.push({ ...about, peakBytes, baseBytes, seconds, notes });
  }
  const last = results.at(-1)!;
  console.error(
    `${observer}: ${last.error ?? `${(last.peakBytes! / 1e6).toFixed(0)} MB, ${last.seconds!.toFixed(0)} s`}`,
  );
}
// Observers measured before, that this run leaves out, keep their place.
const file = new URL("./results/calibration-memory.json", import.meta.url);
const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { results: Result[] }).results : [];
const all = OBSERVER_NAMES.flatMap((name) => [...results, ...before].find(({ observer }) => observer === name) ?? []);
report(
  "calibration-memory",
  {
    model: "PP-OCRv4 detection",
    goalBytes: GOAL_BYTES,
    units: "peakBytes: VmHWM of the process, baseBytes of it after imports",
  },
  all.map(({ observer, images, size, peakBytes, seconds, error }) => ({
    observer,
    images,
    size: `${size}x${size}`,
    "MB peak": peakBytes === undefined ? "-" : (peakBytes / 1e6).toFixed(0),
    "under 1.5 GB": peakBytes === undefined ? (error ?? "-") : peakBytes < GOAL_BYTES ? "yes" : "NO",
    s: seconds?.toFixed(0) ?? "-",
  })),
  all,
);
