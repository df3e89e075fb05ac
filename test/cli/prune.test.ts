/**
 * @file `tersor prune`: what it writes and says, masks through files and fine-tuning, and what it refuses.
 */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fieldsOf, kebab } from "../../src/cli/flags.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import type { Model } from "../../src/graph/model.ts";
import { readModelFile } from "../../src/onnx/file-node.ts";
import { sparsity } from "../../src/prune/sparsity.ts";
import { finetuneFile } from "../../src/recipe/finetune-file.ts";
import { pruneFile } from "../../src/recipe/prune-file.ts";
import { pruneFileOptions } from "../../src/recipe/prune-options.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { Folder } from "./models.ts";
import { type Finished, tersor } from "./run.ts";

const NET = `net (float[batch, 16] x) => (float[batch, 3] y)
  <float[16, 32] w1 = random(1), float[32] b1 = random(2), float[32, 3] w2 = random(3)>
  { a = MatMul(x, w1) b = Add(a, b1) r = Relu(b) y = MatMul(r, w2) }`;

const fixtures = new Folder();
const QUICK = { targets: ["node-cpu"], budgetMs: 0, memory: false } as const;
const run = (...args: string[]): Promise<Finished> => tersor(["prune", ...args], fixtures.path);

beforeAll(() => {
  fixtures.model("net.onnx", NET);
  const random = createRandom(1);
  for (let i = 0; i < 64; i++) {
    const x = Array.from({ length: 16 }, () => random.normal());
    fixtures.put(`data/${i}.npz`, encodeNpz({ x: Tensor.float32([1, 16], x) }));
  }
});
afterAll(() => fixtures.remove());

function model(name: string): Model {
  const { proto, external } = readModelFile(fixtures.at(name));
  return fromOnnx(proto, external);
}

const values = (of: Model, name: string): Float32Array =>
  [...of.graph.initializers].find((value) => value.name === name)!.initializer!.floats();

describe("tersor prune", () => {
  it("says what went, and writes masks that can be undone", async () => {
    const { status, stdout } = await run(
      ...[
        "net.onnx",
        "-o",
        "half.onnx",
        "--amount",
        "0.5",
        "--min-elements",
        "1",
        "--target",
        "node-cpu",
        "--time",
        "0",
      ],
    );
    expect(stdout).toContain("304 of 608 weights are not zero: sparsity 0.0 % → 50.0 % (2.0× fewer)");
    expect(stdout).toContain("w1      16×32");
    // What it answers says the status: half of random weights are missed.
    expect([0, 1]).toContain(status);
    const inspected = await tersor(["inspect", "half.onnx"], fixtures.path);
    expect(inspected.stdout).toContain("50.0 % of 608 weights are zero (unstructured). 2 weights have masks");
    const half = model("half.onnx");
    expect(sparsity(half).zeros).toBe(304);
    expect(values(half, "w1")).toEqual(values(model("net.onnx"), "w1"));
    await pruneFile(fixtures.at("half.onnx"), { ...QUICK, output: fixtures.at("undone.onnx"), action: "undo" });
    expect(sparsity(model("undone.onnx"))).toMatchObject({ zeros: 0, weights: [{ masked: false }, { masked: false }] });
  });

  it("adds to the masks that are there, in a pattern, with shares by name, and ends them", async () => {
    await pruneFile(fixtures.at("half.onnx"), {
      ...QUICK,
      output: fixtures.at("more.onnx"),
      step: { pattern: "2:4", include: [], parameters: ["w1"] },
    });
    const result = await pruneFile(fixtures.at("more.onnx"), {
      ...QUICK,
      check: false,
      output: fixtures.at("most.onnx"),
      step: { amount: 0, amounts: ["w2=0.5"], minElements: 1, scope: "layer" },
    });
    const { weights } = sparsity(model("most.onnx"));
    expect(weights[0]!.history.map(({ pattern }) => pattern)).toEqual(["unstructured", "2:4", "unstructured"]);
    // At most 2 of 4 inputs of an output are left.
    expect(weights[0]!.zeros).toBeGreaterThanOrEqual(256);
    expect(result.sparsity.after.weights[1]!.zeros).toBeGreaterThan(result.sparsity.before.weights[1]!.zeros);
    const final = await pruneFile(fixtures.at("most.onnx"), {
      ...QUICK,
      output: fixtures.at("final.onnx"),
      action: "remove",
    });
    expect(final.judgements).toMatchObject([{ usable: true, agreement: "agrees" }]);
    expect(final.output.byteLength).toBeLessThan(final.input.byteLength);
    expect(values(model("final.onnx"), "w1").filter((value) => value === 0)).toHaveLength(weights[0]!.zeros);
  });

  it("takes channels out, as a history that is replayed does, and says what went", async () => {
    fixtures.model(
      "wide.onnx",
      `wide (float[batch, 16] x) => (float[batch, 3] y)
      <float[16, 64] w1 = random(1), float[64] b1 = random(2), float[64, 32] w2 = random(3), float[32, 3] w3 = random(4)>
      { a = MatMul(x, w1) b = Add(a, b1) r = Relu(b) c = MatMul(r, w2) s = Relu(c) y = MatMul(s, w3) }`,
    );
    const quick = ["--target", "node-cpu", "--time", "0", "--no-memory"];
    const { stdout } = await run(
      ...[
        "wide.onnx",
        "-o",
        "thin.onnx",
        "--pattern",
        "channel",
        "--amount",
        "0.5",
        "--history",
        "went.json",
        ...quick,
      ],
    );
    expect(stdout).toMatch(/multiplications 3,168 → [\d,]+ \(/);
    expect(stdout).toMatch(/zeros in their place: (equal|SQNR 1\d\d dB)/);
    const [wide, thin] = [sparsity(model("wide.onnx")), sparsity(model("thin.onnx"))];
    expect(thin.size).toBeLessThan(0.6 * wide.size);
    const again = await run("wide.onnx", "-o", "again.onnx", "--replay", "went.json", ...quick);
    expect(again.stderr).toBe("");
    expect(readFileSync(fixtures.at("again.onnx"))).toEqual(readFileSync(fixtures.at("thin.onnx")));
    const other = await run("net.onnx", "-o", "other.onnx", "--replay", "went.json", ...quick);
    expect(other.status).toBe(2);
    expect(other.stderr).toContain("Replay a history on the file that it was made from");
  });

  it("leaves masks that fine-tuning keeps", async () => {
    await finetuneFile(fixtures.at("half.onnx"), {
      ...QUICK,
      output: fixtures.at("tuned.onnx"),
      data: fixtures.at("data"),
      finetune: { loss: "distill", steps: 6, batchSize: 8, lr: 0.01 },
    });
    expect(sparsity(model("tuned.onnx"))).toMatchObject({ zeros: 304, weights: [{ masked: true }, { masked: true }] });
    expect(values(model("tuned.onnx"), "w1")).not.toEqual(values(model("half.onnx"), "w1"));
  });

  it.each([
    [["net.onnx", "--amount", "1.5"], "amount"],
    [["net.onnx", "--pattern", "4:2"], "n:m keeps n of m"],
    [["net.onnx", "--amounts", "w1"], "pattern=share"],
    [["net.onnx"], "w1: it has 512 elements, fewer than 5000"],
    [["net.onnx", "--undo"], "expected weights with masks, got none"],
    [["net.onnx", "--undo", "--amount", "0.2"], "expected no other wish beside it, got --amount"],
    [["net.onnx", "-o", "net.onnx"], "The original is never overwritten"],
    [["net.onnx", "--pattern", "channel", "--permanent"], "expected an option of pattern channel, got one of masks"],
    [["net.onnx", "--of", "macs"], "Add --pattern channel"],
    [["net.onnx", "--history", "h.json"], "expected --pattern channel, got masks"],
    [["net.onnx", "--replay", "no.json"], "expected a history of pruned channels"],
    [["net.onnx", "--parameters", "nothing*"], "It has w1, w2"],
  ])("refuses %j", async (args, text) => {
    const extra = args.length === 1 ? ["--min-elements", "5000"] : [];
    const { status, stderr } = await run(...args, ...extra, ...(args.includes("-o") ? [] : ["-o", "never.onnx"]));
    expect(status).toBe(2);
    expect(stderr.replace(/\s+/g, " ")).toContain(text);
    expect(existsSync(fixtures.at("never.onnx"))).toBe(false);
  });

  it("has a flag for every option of the step", async () => {
    const { stdout } = await run("--help");
    for (const name of Object.keys(fieldsOf(pruneFileOptions))) expect(stdout).toContain(`--${kebab(name)}`);
  });
});
