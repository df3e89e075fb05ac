import { describe, expect, it } from "vitest";
import { decodeModel } from "../onnx/decode.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { parseModel, printModel } from "../onnx/text.ts";
import { Tensor } from "../tensor/tensor.ts";
import { GraphError } from "../util/errors.ts";
import { fromOnnx } from "./from-onnx.ts";
import type { Graph } from "./graph.ts";
import { Model } from "./model.ts";
import type { Node } from "./node.ts";
import { toOnnx } from "./to-onnx.ts";
import type { Value } from "./value.ts";

const HEADER = '<ir_version: 8, opset_import: ["" : 17]>';

const read = (graph: string): Model => fromOnnx(parseModel(`${HEADER} ${graph}`));

const CHAIN = `g (float[N] x) => (float[N] y)
  <float[1] w = {1}, float[N] b> { a = Relu(x)  b = Add(a, w)  c = Mul(b, a)  y = Sub(c, b) }`;

const BRANCHES = `g (bool c, float[1] x) => (float[1] y, float[1] z) <float[1] w = {1}>
  { a = Relu(x)
    y = If (c) <then_branch = t () => (float[1] r) { r = Add(a, w) },
                else_branch = e () => (float[1] r2) { r2 = If (c) <then_branch = tt () => (float[1] s) { s = Neg(a) },
                                                                 else_branch = ee () => (float[1] s2) { s2 = Exp(x) }> }>
    z = Abs(a) }`;

function node(graph: Graph, opType: string): Node {
  for (const found of graph.nodes()) if (found.opType === opType) return found;
  throw new Error(`no ${opType}`);
}

function value(model: Model, name: string): Value {
  for (const graph of model.graphs()) {
    for (const found of [...graph.inputs, ...graph.initializers]) if (found.name === name) return found;
    for (const { outputs } of graph.nodes()) for (const found of outputs) if (found?.name === name) return found;
  }
  throw new Error(`no value ${name}`);
}

const ops = (graph: Graph): string[] => [...graph.nodes()].map(({ opType }) => opType);
const users = (of: Value): string[] => [...of.users].map(({ opType }) => opType).sort();

/** Every edge must be known at both ends; every value that is used must be made in its own or an outer graph. */
function checkEdges(model: Model): void {
  for (const graph of model.graphs()) {
    expect([...graph.nodesReversed()].reverse()).toEqual([...graph.nodes()]);
    expect(graph.size).toBe([...graph.nodes()].length);
    for (const output of graph.outputs) expect(output.outputOf.has(graph)).toBe(true);
    for (const found of graph.nodes()) {
      for (const input of found.inputs) expect(input === undefined || input.users.has(found)).toBe(true);
      for (const output of found.outputs) {
        if (output === undefined) continue;
        expect(output.producer).toBe(found);
        for (const user of output.users) expect(user.inputs.includes(output)).toBe(true);
      }
    }
  }
}

describe("edges", () => {
  it("follow setInput, also where a value is used twice", () => {
    const model = read("g (float[1] x) => (float[1] y) { a = Relu(x)  y = Add(a, a) }");
    const add = node(model.graph, "Add");
    const a = value(model, "a");
    const x = value(model, "x");
    add.setInput(1, x);
    expect(users(a)).toEqual(["Add"]);
    expect(users(x)).toEqual(["Add", "Relu"]);
    add.setInput(0, undefined);
    expect(users(a)).toEqual([]);
    add.setInput(3, a);
    expect(add.inputs.map((input) => input?.name)).toEqual([undefined, "x", undefined, "a"]);
    add.setInput(3, a);
    expect(users(a)).toEqual(["Add"]);
    checkEdges(model);
  });

  it("follow setInputs, which drops empty ones at the end", () => {
    const model = read(CHAIN);
    const mul = node(model.graph, "Mul");
    mul.setInputs([value(model, "x"), undefined, undefined]);
    expect(mul.inputs).toHaveLength(1);
    expect(users(value(model, "a"))).toEqual(["Add"]);
    expect(users(value(model, "b"))).toEqual(["Sub"]);
    checkEdges(model);
  });

  it("follow setOutputs of nodes and graphs", () => {
    const model = read(CHAIN);
    const fresh = model.graph.newValue("fresh");
    const sub = node(model.graph, "Sub");
    const y = sub.output();
    sub.setOutputs([fresh]);
    expect([y.producer, fresh.producer]).toEqual([undefined, sub]);
    model.graph.setOutputs([fresh, fresh]);
    expect([y.isOutput, fresh.isOutput]).toEqual([false, true]);
    model.graph.setOutputs([fresh]);
    expect(fresh.isOutput).toBe(true);
  });

  it("values know what they are", () => {
    const model = read(CHAIN);
    const [x, w, a, b, y] = ["x", "w", "a", "b", "y"].map((name) => value(model, name));
    expect([x!.isInput, w!.isInput, w!.isConstant, a!.isConstant]).toEqual([true, false, true, false]);
    expect([w!.onlyUser?.opType, a!.onlyUser, y!.onlyUser]).toEqual(["Add", undefined, undefined]);
    expect([y!.isUnused, y!.isOutput]).toEqual([false, true]);
    expect([x!.dtype, x!.shape, w!.shape, b!.shape, a!.shape]).toEqual(["float32", ["N"], [1], ["N"], undefined]);
    const input = read("g (float[1] x, float[1] d = {2}) => (float[1] y) { y = Add(x, d) }");
    expect(value(input, "d").isConstant).toBe(false);
    expect(value(input, "d").initializer?.numbers()).toEqual([2]);
  });
});

describe("replaceAllUsesWith", () => {
  it("changes every user, in subgraphs too", () => {
    const model = read(BRANCHES);
    const a = value(model, "a");
    const x = value(model, "x");
    expect(users(a)).toEqual(["Abs", "Add", "Neg"]);
    model.graph.replaceAllUsesWith(a, x);
    expect(users(a)).toEqual([]);
    expect(users(x)).toEqual(["Abs", "Add", "Exp", "Neg", "Relu"]);
    checkEdges(model);
    model.graph.remove(node(model.graph, "Relu"));
    checkEdges(model);
  });

  it("an output keeps its name, type and place", () => {
    const model = read(CHAIN);
    const [c, y] = [value(model, "c"), value(model, "y")];
    model.graph.replaceAllUsesWith(y, c);
    expect(model.graph.outputs).toEqual([c]);
    expect([c.name, c.shape, y.name, y.isUnused]).toEqual(["y", ["N"], "y_replaced", true]);
    model.graph.remove(node(model.graph, "Sub"));
    expect(printModel(toOnnx(model))).toContain("y = Mul (b, a)");
    checkEdges(model);
  });

  it("is refused where the interface would change, with the reason", () => {
    const model = read(BRANCHES);
    const { graph } = model;
    const [x, y, z, w] = ["x", "y", "z", "w"].map((name) => value(model, name)) as [Value, Value, Value, Value];
    const inner = value(model, "r");
    const cases: [Value, Value, RegExp][] = [
      [y, x, /an input/],
      [y, w, /an initializer/],
      [y, z, /both .* outputs/],
      [inner, value(model, "a"), /another graph/],
    ];
    for (const [from, to, reason] of cases) {
      expect(graph.canReplace(from, to)).toMatch(reason);
      expect(() => graph.replaceAllUsesWith(from, to)).toThrow(GraphError);
    }
    expect(graph.canReplace(value(model, "a"), x)).toBe(true);
    graph.replaceAllUsesWith(x, x);
    checkEdges(model);
  });
});

describe("sort", () => {
  const order = (graph: Graph): string => ops(graph).join(" ");

  it("leaves a right order alone", () => {
    const model = read(CHAIN);
    model.graph.sort();
    expect(order(model.graph)).toBe("Relu Add Mul Sub");
  });

  it("moves producers before their users and keeps the rest", () => {
    const model = read("g (float[1] x) => (float[1] y) { y = Add(b, a)  a = Relu(x)  b = Neg(x)  e = Exp(x) }");
    model.graph.sort();
    expect(order(model.graph)).toBe("Neg Relu Add Exp");
    checkEdges(model);
  });

  it("sees what subgraphs of subgraphs use", () => {
    const text = BRANCHES.replace("a = Relu(x)", "").replace("z = Abs(a)", "a = Relu(x)  z = Abs(a)");
    const model = read(text);
    expect(order(model.graph)).toBe("If Relu Abs");
    model.graph.sort();
    expect(order(model.graph)).toBe("Relu If Abs");
  });

  it("sorts subgraphs", () => {
    const model = read(`g (bool c, float[1] x) => (float[1] y) { y = If (c) <
      then_branch = t () => (float[1] r) { r = Neg(q) q = Exp(x) }, else_branch = e () => (float[1] s) { s = Abs(x) }> }`);
    model.graph.sort();
    expect(order(node(model.graph, "If").subgraphs[0]!)).toBe("Exp Neg");
  });

  it("names a node on a cycle, a direct and an indirect one", () => {
    const model = read("g (float[1] x) => (float[1] y) { [one] a = Add(x, b)  [two] b = Neg(a)  y = Relu(b) }");
    expect(() => model.graph.sort()).toThrow(/node "one" \(Add\).*cycle/);
    const self = read("g (float[1] x) => (float[1] y) { [self] y = Add(x, y) }");
    expect(() => self.graph.sort()).toThrow(/"self".*cycle/);
  });

  it("copes with long chains", () => {
    const { graph } = new Model();
    let last = graph.newValue("x");
    graph.inputs.push(last);
    for (let i = 0; i < 20_000; i++) last = graph.add("Relu", [last]).output();
    const nodes = [...graph.nodes()];
    for (const found of nodes) graph.detach(found);
    for (const found of nodes.toReversed()) graph.insert(found);
    graph.sort();
    expect([...graph.nodes()]).toEqual(nodes);
  });
});

describe("adding and removing", () => {
  it("add links the node where it is asked to", () => {
    const model = read(CHAIN);
    const { graph } = model;
    const x = value(model, "x");
    graph.add("Exp", [x], { before: node(graph, "Relu") });
    graph.add("Neg", [x], { after: node(graph, "Add") });
    graph.add("Abs", [x], { after: node(graph, "Sub") });
    graph.add("Sqrt", [x]);
    expect(ops(graph)).toEqual(["Exp", "Relu", "Add", "Neg", "Mul", "Sub", "Abs", "Sqrt"]);
    checkEdges(model);
  });

  it("remove wants unused outputs and frees the inputs", () => {
    const model = read(CHAIN);
    const { graph } = model;
    expect(() => graph.remove(node(graph, "Mul"))).toThrow(/"c" has 1 users/);
    const sub = node(graph, "Sub");
    expect(() => graph.remove(sub)).toThrow(GraphError);
    graph.setOutputs([value(model, "c")]);
    graph.remove(sub);
    expect(sub.graph).toBeUndefined();
    expect(users(value(model, "b"))).toEqual(["Mul"]);
    expect(() => graph.remove(sub)).toThrow(/node of this graph/);
    checkEdges(model);
  });

  it("removing an If frees what its branches use", () => {
    const model = read(BRANCHES);
    const { graph } = model;
    const [a, x] = [value(model, "a"), value(model, "x")];
    graph.setOutputs([value(model, "z")]);
    graph.remove(node(graph, "If"));
    expect([users(a), users(x), users(value(model, "w")), users(value(model, "c"))]).toEqual([
      ["Abs"],
      ["Relu"],
      [],
      [],
    ]);
    checkEdges(model);
  });

  it("walks go on when the current node, or the next, is removed", () => {
    const { graph } = new Model();
    const x = graph.newValue("x");
    const nodes = ["A", "B", "C", "D"].map((op) => graph.add(op, [x]));
    const seen: string[] = [];
    for (const found of graph.nodes()) {
      seen.push(found.opType);
      if (found.opType === "A") for (const gone of nodes.slice(0, 3)) graph.remove(gone);
    }
    expect(seen).toEqual(["A", "D"]);
    expect(ops(graph)).toEqual(["D"]);
  });

  it("initializers come and go", () => {
    const model = read(CHAIN);
    const { graph } = model;
    const added = graph.addInitializer("w", Tensor.float32([2], [1, 2]));
    expect(added.name).toBe("w_1");
    expect(() => graph.removeInitializer(value(model, "w"))).toThrow(/still used/);
    graph.removeInitializer(added);
    expect(toOnnx(model).graph!.initializer!.map((tensor) => tensor.name)).toEqual(["w"]);
  });
});

describe("names", () => {
  it("are unique over values and nodes of all graphs", () => {
    const model = read(BRANCHES);
    const wished = ["a", "r", "s2", "fresh"].map((wish) => model.graph.newValue(wish).name);
    expect(wished).toEqual(["a_1", "r_1", "s2_1", "fresh"]);
    const inner = node(model.graph, "If").subgraphs[0]!;
    expect([inner.newValue("a").name, inner.newValue("a_1").name]).toEqual(["a_2", "a_1_1"]);
    const relu = model.graph.add("Relu", [value(model, "x")], { name: "a", outputs: ["a"] });
    expect([relu.output().name, relu.name]).toEqual(["a_3", "a_4"]);
  });
});

describe("scopes", () => {
  it("inner values hide outer ones of the same name", () => {
    const model = read(`g (bool c, float[1] x) => (float[1] y) { a = Relu(x)  y = If (c) <
      then_branch = t () => (float[1] a) { a = Neg(x) }, else_branch = e () => (float[1] b) { b = Abs(a) }> }`);
    const [then, otherwise] = node(model.graph, "If").subgraphs;
    expect(then!.outputs[0]!.producer!.opType).toBe("Neg");
    expect(node(otherwise!, "Abs").input(0)).toBe(node(model.graph, "Relu").output());
    checkEdges(model);
  });

  it("a branch may give an outer value", () => {
    const model = read(`g (bool c, float[1] x) => (float[1] y) { y = If (c) <
      then_branch = t () => (float[1] x) {}, else_branch = e () => (float[1] b) { b = Abs(x) }> }`);
    const then = node(model.graph, "If").subgraphs[0]!;
    expect(then.outputs[0]).toBe(value(model, "x"));
    expect(value(model, "x").outputOf.has(then)).toBe(true);
  });

  it.each([
    ["g (float[1] x) => (float[1] y) { y = Add(x, nothing) }", /"nothing"/],
    ["g (float[1] x) => (float[1] y) { a = Relu(x) }", /output "y"/],
    ["g (float[1] x) => (float[1] y) { y = Relu(x) y = Neg(x) }", /second definition of "y"/],
    ["g (float[1] x, float[1] x) => (float[1] y) { y = Relu(x) }", /second definition of "x"/],
    ["g (bool c) => (float[1] y) { y = If (c) <then_branch = t () => (float[1] r) { r = Neg(r2) }> }", /"r2"/],
  ])("%s", (text, message) => {
    expect(() => read(text)).toThrow(GraphError);
    expect(() => read(text)).toThrow(message);
  });
});

describe("round trip", () => {
  it.each([
    ["a chain", CHAIN],
    ["branches", BRANCHES],
    ["empty inputs and outputs", 'g (float[1] x) => (float[1] y) { y, "", m = Dropout(x, "", "") }'],
    ["nothing at all", "g () => () {}"],
    ["an initializer as output", "g () => (float[1] w) <float[1] w = {1}> {}"],
  ])("%s", (_, text) => {
    const proto = parseModel(`${HEADER} ${text}`);
    const bytes = joinChunks(encodeModel(proto));
    expect(toOnnx(fromOnnx(decodeModel(bytes)))).toEqual(proto);
    expect(joinChunks(encodeModel(toOnnx(fromOnnx(decodeModel(bytes)))))).toEqual(bytes);
  });
});
