/** @file What training finds in models that layers built: their parameters, all of them, and nothing else. */
import { expect, it } from "vitest";
import { buildModel } from "../../src/nn/build-model.ts";
import { constant } from "../../src/nn/init.ts";
import { parametersOf } from "../../src/nn/state.ts";
import { findParameters } from "../../src/train/parameters.ts";
import { reload } from "../helpers.ts";
import { buildCase, REFERENCE } from "../nn/reference.ts";

const ALL = { train: [], freeze: [] };
const names = (values: readonly { readonly name: string }[]): string[] => values.map(({ name }) => name).sort();

it.each(Object.keys(REFERENCE))("%s", (name) => {
  const model = reload(buildCase(name));
  const wanted = Object.keys(REFERENCE[name]!.gradients).sort();
  expect(names(parametersOf(model))).toEqual(wanted);
  expect(names(findParameters(model, ALL).parameters)).toEqual(wanted);
});

it("a scalar of a module of one's own", () => {
  const model = buildModel((s, x) => s.b.mul(x!, s.parameter("scale", [1], constant(1))), {
    input: { name: "x", dims: ["N", 3] },
  });
  expect(names(findParameters(model, ALL).parameters)).toEqual(["scale"]);
});
