import { describe, expect, it } from "vitest";
import { parseOptions } from "../../step/run.ts";
import { SCHEMES } from "../steps.ts";
import { type Candidate, candidateKey, candidateName, quantizeFlags, shellWord, stepOptions } from "./candidate.ts";
import { keepFloatVariants } from "./keep-float.ts";
import { corrections, firstCandidates, variants } from "./space.ts";

const base: Candidate = { scheme: "static-int8", step: { observer: "mse" }, targets: ["node-cpu", "web-wasm"] };

describe("candidates", () => {
  it("of the space have options that their schemes take", () => {
    const all = firstCandidates(true, base.targets).flatMap((one) => [one, ...corrections(one), ...variants(one)]);
    expect(all.length).toBeGreaterThan(30);
    for (const candidate of all) parseOptions(SCHEMES[candidate.scheme], stepOptions(candidate));
  });

  it("have one key, whatever the order of options and targets", () => {
    const a = { ...base, step: { observer: "mse", force: true } };
    const b: Candidate = { ...base, step: { force: true, observer: "mse" }, targets: ["web-wasm", "node-cpu"] };
    expect(candidateKey(a)).toBe(candidateKey(b));
    expect(candidateKey(a)).not.toBe(candidateKey(base));
  });

  it("are named by what they do", () => {
    const step = { observer: "mse", equalize: true, exclude: ["a", "b"] };
    expect(candidateName({ ...base, step, targets: ["node-cpu"] }, base.targets)).toBe(
      "static-int8 mse, equalized, 2 left out, for node-cpu",
    );
  });

  it("tell the flags that make them; separators in names become patterns", () => {
    const step = {
      smoothQuant: "auto",
      storeRest: false,
      equalize: true,
      override: [{ node: "a, b", float: true }],
      exclude: ["x", "y z"],
    };
    expect(quantizeFlags({ ...base, step, targets: ["node-cpu"] }).join(" ")).toBe(
      "--scheme static-int8 --target node-cpu --smooth-quant auto --no-store-rest --equalize --override a??b float --exclude x,y?z",
    );
  });

  it("are written so that a shell reads them", () => {
    expect(shellWord("/a/b.onnx")).toBe("/a/b.onnx");
    expect(shellWord("it's *")).toBe("'it'\\''s *'");
  });
});

describe("keepFloatVariants", () => {
  const node = (name: string, loss: number, bytesSaved: number) => ({
    node: name,
    opType: "Conv",
    loss,
    value: 0,
    bytesSaved,
  });

  it("give back more and more bytes, in two forms", () => {
    const ranking = [node("a*", 0.5, 10), node("b", 0.1, 100), node("c", 0.01, 890)];
    const found = keepFloatVariants(base, ranking);
    expect(found.map(({ step }) => step)).toEqual([
      { observer: "mse", override: [{ node: "a\\*", float: true }] },
      { observer: "mse", exclude: ["a\\*"] },
      {
        observer: "mse",
        override: [
          { node: "a\\*", float: true },
          { node: "b", float: true },
        ],
      },
      { observer: "mse", exclude: ["a\\*", "b"] },
    ]);
  });

  it("go on from nodes that the base keeps in float", () => {
    const [first] = keepFloatVariants({ ...base, step: { exclude: ["z"] } }, [
      node("a", 1, 1),
      node("b", 0, 999),
    ]).slice(1);
    expect(first?.step).toEqual({ exclude: ["z", "a"] });
  });
});
