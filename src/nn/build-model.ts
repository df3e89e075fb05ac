/**
 * @file A module with its inputs and outputs as a model.
 */
import { Builder } from "../graph/builder.ts";
import { Model } from "../graph/model.ts";
import { irVersionFor } from "../graph/ops/versions.ts";
import type { Dim, Value } from "../graph/value.ts";
import type { DType } from "../tensor/dtype.ts";
import { GraphError, OptionError } from "../util/errors.ts";
import { type Module, Scope } from "./module.ts";
import { writeState } from "./state.ts";

/** LayerNormalization is there from 17 on, and all that the layers emit runs in both runtimes. */
export const DEFAULT_OPSET = 17;

export interface InputSpec {
  readonly name: string;
  /** Symbols ("N") stay dynamic; null: nothing is known. */
  readonly dims: readonly Dim[];
  /** Default float32. */
  readonly dtype?: DType;
}

export interface BuildOptions {
  /** One per value that the module takes. */
  readonly input: InputSpec | readonly InputSpec[];
  /** Names, one per value that the module gives. Default "output". */
  readonly output?: string | readonly string[];
  /** Of the first values of all parameters. Default 0. */
  readonly seed?: number;
  /** 17 (default) or newer. */
  readonly opset?: number;
}

/**
 * Builds a model: parameters become initializers under their state_dict names.
 * @throws GraphError where a layer does not fit what comes into it, naming its place; OptionError where inputs, outputs or
 * the opset do not fit.
 */
export function buildModel(module: Module<Value[], Value | readonly Value[]>, options: BuildOptions): Model {
  const { seed = 0, opset = DEFAULT_OPSET, output = "output" } = options;
  if (opset < DEFAULT_OPSET) {
    throw new OptionError({
      area: "nn",
      subject: "opset",
      problem: `expected ${DEFAULT_OPSET} or newer, got ${opset}`,
    });
  }
  const model = new Model();
  model.opset = opset;
  model.irVersion = irVersionFor(opset);
  model.extra = { producerName: "tersor" };
  const { graph } = model;
  graph.name = "model";
  for (const { name, dims, dtype = "float32" } of asList(options.input)) {
    const value = graph.newValue(name);
    value.setTensorType(dtype, dims);
    graph.inputs.push(value);
  }
  const build = { builder: new Builder(graph), seed, state: new Map() };
  const results = asList(module(new Scope(build), ...graph.inputs));
  const names = asList(output);
  if (results.length !== names.length) {
    const problem = `expected ${results.length} names, one per result of the module, got ${names.length}`;
    throw new OptionError({ area: "nn", subject: "output", problem });
  }
  const outputs = results.map((value, i) => {
    // An output is made by a node and stands for itself only: inputs and repeated results get a node of their own.
    const own = value.producer !== undefined && results.indexOf(value) === i;
    return own ? value : named(build.builder.op("Identity", [value]), value);
  });
  outputs.forEach((value, i) => {
    const name = model.names.unique(names[i]!);
    if (name !== names[i]) {
      throw new GraphError({
        area: "nn",
        subject: `output "${names[i]}"`,
        problem: "expected a name that no other value has",
      });
    }
    value.name = name;
    if (value.type === undefined) value.setTensorType("float32");
  });
  graph.setOutputs(outputs);
  writeState(model, build.state);
  return model;
}

const asList = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? value : [value as T]);

function named(copy: Value, of: Value): Value {
  copy.type = of.type;
  return copy;
}
