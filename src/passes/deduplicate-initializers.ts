/**
 * @file Makes equal constants one. Tied weights that an exporter wrote twice become tied again.
 */
import { z } from "zod";
import type { Graph } from "../graph/graph.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import type { Value } from "../graph/value.ts";
import { defineStep } from "../step/step.ts";
import { equalBytes, hashBytes } from "../util/hash.ts";

export const deduplicateInitializers = defineStep({
  name: "deduplicate-initializers",
  summary: "Store equal constants once",
  options: z.object({
    threshold: z.number().int().min(0).default(1024).describe("bytes below which constants are left as they are"),
  }),
  needs: [],
  run(model, { threshold }) {
    let changed = 0;
    let saved = 0;
    const visit = (graph: Graph, outer: ReadonlyMap<string, readonly Value[]>): void => {
      const seen = new Map<string, Value[]>();
      for (const [key, values] of outer) seen.set(key, [...values]);
      for (const value of [...graph.initializers]) {
        const tensor = value.constant;
        if (tensor === undefined || value.isOutput || tensor.strings || tensor.byteLength < threshold) continue;
        // A mask, or what is under it, is a state of its own: it changes later.
        if ([...value.users].some(isBarrier)) continue;
        // 64 KiB are enough to tell nearly all tensors apart; equality is checked on all bytes below.
        const bytes = tensor.bytes();
        const key = `${tensor} ${tensor.byteLength} ${hashBytes(bytes.subarray(0, 65_536))}`;
        const same = seen.get(key)?.find((other) => equalBytes(other.initializer!.bytes(), bytes));
        if (same === undefined) {
          seen.set(key, [...(seen.get(key) ?? []), value]);
          continue;
        }
        graph.replaceAllUsesWith(value, same);
        graph.removeInitializer(value);
        changed++;
        saved += tensor.byteLength;
      }
      for (const node of graph.nodes()) for (const subgraph of node.subgraphs) visit(subgraph, seen);
    };
    visit(model.graph, new Map());
    return { changed, changes: changed > 0 ? [`${changed} copies, ${saved} bytes`] : [] };
  },
});
