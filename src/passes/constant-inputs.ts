/**
 * @file Makes weights that are listed as inputs constant. Before IR version 4 every initializer had to be listed as an
 * input; some exporters still do it. As inputs, runtimes cannot fold or fuse them and quantizers cannot find them.
 */
import { z } from "zod";
import { defineStep } from "../step/step.ts";

export const constantInputs = defineStep({
  name: "constant-inputs",
  summary: "Make weights that are listed as inputs constant",
  options: z.object({}),
  needs: [],
  run(model) {
    const { graph } = model;
    // From IR version 4 on, an input with a default may be meant to be overridden: small ones are left so.
    const all = (model.irVersion ?? 0) < 4;
    const changes: string[] = [];
    const kept = graph.inputs.filter((value) => {
      const tensor = value.initializer;
      if (tensor === undefined || value.isOutput) return true;
      if (!all && (tensor.dims.length < 1 || tensor.size < 2)) return true;
      changes.push(value.name);
      return false;
    });
    graph.inputs.splice(0, graph.inputs.length, ...kept);
    if (changes.length > 0) model.irVersion = Math.max(model.irVersion ?? 0, 4);
    return { changed: changes.length, changes };
  },
});
