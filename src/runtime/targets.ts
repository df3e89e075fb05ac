/**
 * @file The targets: which runtime a file is meant for, and what is known about it.
 */
import type { SpeedFact } from "./speed.ts";
import { SPEED_FACTS } from "./speed-facts.ts";

export const TARGET_NAMES = ["node-cpu", "web-wasm", "web-webgpu"] as const;

export type TargetName = (typeof TARGET_NAMES)[number];

export interface Target {
  readonly name: TargetName;
  /** What people call it. */
  readonly title: string;
  /** The adapter that runs it on this machine; undefined: not run here, for the reason given. */
  readonly runtime: "onnxruntime-node" | "onnxruntime-web" | undefined;
  readonly notRunHere?: string;
}

export const TARGETS: Readonly<Record<TargetName, Target>> = {
  "node-cpu": { name: "node-cpu", title: "onnxruntime-node, CPU", runtime: "onnxruntime-node" },
  "web-wasm": { name: "web-wasm", title: "onnxruntime-web, WASM", runtime: "onnxruntime-web" },
  "web-webgpu": {
    name: "web-webgpu",
    title: "onnxruntime-web, WebGPU",
    runtime: undefined,
    notRunHere: "WebGPU needs a browser, which this version does not drive yet",
  },
};

/** The targets whose speed decides where nothing is asked for. */
export const DEFAULT_TARGETS: readonly TargetName[] = ["node-cpu", "web-wasm"];

/**
 * Why a pattern should stay in float on a target: it was measured to run slower than float32 there. Undefined: it runs
 * at least as fast, or nothing is known.
 * @param rows Rows of the left matrix (M); undefined where it is not known: then the largest that was measured counts.
 */
export function slowerOn(target: TargetName, pattern: SpeedFact["pattern"], rows?: number): string | undefined {
  const facts = SPEED_FACTS.filter((fact) => fact.target === target && fact.pattern === pattern);
  if (facts.length === 0) return undefined;
  const ratio = rows === undefined ? facts.at(-1)!.ratio : interpolate(facts, rows);
  if (ratio >= 0.95) return undefined;
  const at = rows === undefined || facts.length === 1 ? "" : ` with ${rows} row${rows === 1 ? "" : "s"}`;
  return `${target} runs it ${formatRatio(ratio)} as fast as float32${at}`;
}

function formatRatio(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}

/** Between measured numbers of rows, linear in their logarithm. */
function interpolate(facts: readonly SpeedFact[], rows: number): number {
  const points = facts.map((fact) => ({ x: Math.log(fact.rows ?? 1), y: fact.ratio }));
  const x = Math.log(Math.max(rows, 1));
  const right = points.findIndex((point) => point.x >= x);
  if (right < 0) return points.at(-1)!.y;
  if (right === 0) return points[0]!.y;
  const [a, b] = [points[right - 1]!, points[right]!];
  return a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
}
