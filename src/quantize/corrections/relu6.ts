/**
 * @file Relu in the place of Clip(0, 6), which stops factors, where the data show that hardly anything is above 6.
 * Source: Nagel et al. 2019, section 5.1.1 (replacing ReLU6 before equalization).
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import { isBarrier } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import { collect } from "../../runtime/collect.ts";
import type { LeftAlone, StepContext, StepReport } from "../../step/step.ts";
import { clipBounds } from "./homogeneous.ts";
import { dropUnused } from "./linear-layer.ts";

/** Replaces those whose output would keep `minSqnr` decibels on the calibration data. Lossy, so never without data. */
export async function replaceRelu6(model: Model, minSqnr: number, context: StepContext): Promise<StepReport> {
  const leftAlone: LeftAlone[] = [];
  const leave = (node: Node, reason: string): void => {
    leftAlone.push({ subject: node.label, opType: node.opType, reason });
  };
  const clips = new Map<Value, Node[]>();
  for (const node of model.allNodes()) {
    if (!node.is("Clip") || isBarrier(node)) continue;
    const { min, max } = clipBounds(node);
    if (min !== 0 || !(max! > 0)) continue;
    if (node.graph !== model.graph) leave(node, "it is in a subgraph, where calibration does not look");
    else if (context.runtime === undefined || context.calibration === undefined) {
      leave(node, "relu6ToRelu needs calibration data to know what it loses");
    } else clips.set(node.input(0), [...(clips.get(node.input(0)) ?? []), node]);
  }
  if (clips.size === 0) return { changed: 0, leftAlone };

  const sums = new Map([...clips.values()].flat().map((node) => [node, { signal: 0, noise: 0 }]));
  const { runtime, calibration, progress, signal } = context;
  await collect(
    model,
    runtime!,
    [...clips.keys()],
    calibration!,
    (point, tensor) => {
      const data = tensor.floats();
      for (const node of clips.get(point)!) {
        const sum = sums.get(node)!;
        const max = clipBounds(node).max!;
        for (const x of data) {
          if (!(x > 0)) continue;
          sum.signal += Math.min(x, max) ** 2;
          if (x > max) sum.noise += (x - max) ** 2;
        }
      }
    },
    { progress, signal },
  );
  let changed = 0;
  for (const [node, { signal: kept, noise }] of sums) {
    const sqnr = noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(kept / noise);
    if (!(sqnr >= minSqnr)) {
      leave(node, `as a Relu its SQNR would be ${sqnr.toFixed(1)} dB, under ${minSqnr} dB`);
      continue;
    }
    const bounds = node.inputs.slice(1);
    node.setInputs([node.input(0)]);
    node.attributes.clear();
    node.opType = "Relu";
    dropUnused(...bounds);
    changed++;
  }
  return { changed, changes: [`${changed} of ${sums.size} Clip(0, 6) replaced by Relu`], leftAlone };
}
