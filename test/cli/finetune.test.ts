/**
 * @file `tersor finetune`: what it writes and says, going on after a kill, and what it refuses.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fieldsOf, kebab } from "../../src/cli/flags.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import { mask } from "../../src/graph/parametrization-kinds.ts";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { readModelFile } from "../../src/onnx/file-node.ts";
import { type FinetuneFileOptions, type FinetuneFileResult, finetuneFile } from "../../src/recipe/finetune-file.ts";
import { finetuneOptions } from "../../src/recipe/finetune-options.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { bytesOfModel, Folder, modelOf } from "./models.ts";
import { type Finished, startTersor, tersor } from "./run.ts";

const NET = `net (float[batch, 4] x) => (float[batch, 3] y)
  <float[4, 16] w1 = random(1), float[16] b1 = random(2), float[16, 3] w2 = random(3)>
  { a = MatMul(x, w1) b = Add(a, b1) r = Relu(b) z = MatMul(r, w2) y = Softmax(z) }`;

const fixtures = new Folder();
const QUICK = ["--target", "node-cpu", "--time", "0", "--no-memory"];
const run = (...args: string[]): Promise<Finished> => tersor(["finetune", ...args], fixtures.path);

beforeAll(() => {
  fixtures.model("net.onnx", NET);
  const random = createRandom(1);
  for (let i = 0; i < 160; i++) {
    const x = Array.from({ length: 4 }, () => random.normal());
    const label = x[0]! > x[1]! ? 0 : x[2]! > 0 ? 1 : 2;
    const inputs = { x: Tensor.float32([1, 4], x) };
    fixtures.put(`data/${i}.npz`, encodeNpz({ ...inputs, label: Tensor.int64([], [label]) }));
    fixtures.put(`plain/${i}.npz`, encodeNpz(inputs));
    if (i < 20) fixtures.put(`wrong/${i}.npz`, encodeNpz({ ...inputs, label: Tensor.int64([], [3]) }));
  }
  // Half of the first layer's weights are masked away.
  const pruned = fromOnnx(modelOf(NET));
  const w1 = [...pruned.graph.initializers].find(({ name }) => name === "w1")!;
  const values = w1.initializer!.floats();
  const median = [...values].map(Math.abs).sort((a, b) => a - b)[32]!;
  mask.insert(
    pruned,
    w1,
    Tensor.of(
      "bool",
      [4, 16],
      Uint8Array.from(values, (x) => Number(Math.abs(x) >= median)),
    ),
  );
  fixtures.put("pruned.onnx", bytesOfModel(toOnnx(pruned)));
});
afterAll(() => fixtures.remove());

const model = (name: string) => {
  const { proto, external } = readModelFile(fixtures.at(name));
  return fromOnnx(proto, external);
};

const weights = (name: string): Record<string, number[]> =>
  Object.fromEntries([...model(name).graph.initializers].map((value) => [value.name, value.initializer!.numbers()]));

const structure = (name: string): unknown =>
  [...model(name).graph.nodes()].map((node) => [node.opType, node.inputs.map(String), node.outputs.map(String)]);

describe("tersor finetune", () => {
  it("trains on labels, writes the same structure, and proves it on samples kept apart", async () => {
    const { stdout, status, stderr } = await run(
      "net.onnx",
      "-o",
      "out.onnx",
      "--data",
      "data",
      "--lr",
      "0.02",
      "--epochs",
      "8",
      "--log",
      "log.jsonl",
      ...QUICK,
      "--json",
    );
    expect([status, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as FinetuneFileResult & { command: string };
    expect(result).toMatchObject({ command: "finetune", loss: "cross-entropy", ok: true, problems: [] });
    const { training, targets } = result;
    expect(training).toMatchObject({ steps: 32, epochs: 8, metric: { name: "top-1" } });
    const [before, after] = [training.validations[0]!, training.best!];
    expect(after.value).toBeGreaterThan(before.value + 0.2);
    // The file is as good on these samples as validation said.
    const metric = targets[0]!.files[1]!.metrics!.find(({ name }) => name === "top-1")!;
    expect(targets[0]).toMatchObject({ target: "node-cpu", samples: 16 });
    expect([metric.original, metric.value]).toEqual([before.value, after.value]);
    expect(structure("out.onnx")).toEqual(structure("net.onnx"));
    expect(model("out.onnx").graph.inputs.map(({ name, shape }) => `${name} ${shape}`)).toEqual(["x batch,4"]);
    const log = readFileSync(fixtures.at("log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    expect(log.map(({ type }) => type)).toContain("step");
    expect([log[0]!.type, log.at(-1)!.type]).toEqual(["start", "end"]);
  });

  it("says what it would train, and trains and writes nothing, with --dry-run", async () => {
    const { stdout, status, stderr } = await run(
      "net.onnx",
      "-o",
      "dry.onnx",
      "--data",
      "data",
      "--dry-run",
      "--freeze",
      "b1",
    );
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/Trained, 112 numbers in 2 tensors:\n +w1 +\[4, 16\] +64\n +w2 +\[16, 3\] +48\n/);
    expect(stdout).toMatch(
      /· b1 is not trained: freeze names it\n.*About .* MB of memory\. Nothing was trained or written/s,
    );
    expect(existsSync(fixtures.at("dry.onnx"))).toBe(false);
  });

  it("says of the model and of the result how they stand to a teacher", async () => {
    const { stdout, status } = await run(
      ...["net.onnx", "-o", "taught.onnx", "--data", "plain", "--teacher", "pruned.onnx", "--steps", "2"],
      ...["--metric", "agreement", ...QUICK],
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/original, beside the teacher.*against the teacher.*finetuned, beside the teacher/s);
    expect(stdout).not.toContain("against the original");
    // The two have the same layers.
    expect(stdout).toContain("1 of 2 updates teach each layer alone, by 1 value; then all learn together");
  });

  it("learns what a mask took away from the model without it, without labels, and keeps the mask", async () => {
    const { stdout, status } = await run(
      "pruned.onnx",
      "--data",
      "plain",
      "--lr",
      "0.01",
      "--epochs",
      "20",
      "--freeze",
      "b1",
      ...QUICK,
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/pruned\.onnx → pruned\.finetuned\.onnx {3}distill/);
    const [, from, to] = /validation: loss (\S+) → (\S+);/.exec(stdout.replaceAll(/\s+/g, " "))!;
    expect(Number(to)).toBeLessThan(Number(from) / 3);
    expect([...model("pruned.finetuned.onnx").parametrizations.values()]).toMatchObject([{ kind: "mask" }]);
    expect(structure("pruned.finetuned.onnx")).toEqual(structure("pruned.onnx"));
    const [was, is] = [weights("pruned.onnx"), weights("pruned.finetuned.onnx")];
    expect(is["b1"]).toEqual(was["b1"]);
    expect(is["w2"]).not.toEqual(was["w2"]);
    // What is under the mask is as it was.
    const kept = [...model("pruned.onnx").graph.initializers]
      .find(({ dtype }) => dtype === "bool")!
      .initializer!.numbers();
    expect(was["w1"]!.filter((_, i) => kept[i] === 0)).toEqual(is["w1"]!.filter((_, i) => kept[i] === 0));
  });

  it("goes on after SIGKILL in the middle of an epoch to the same weights, bit by bit", async () => {
    const options = [
      "net.onnx",
      "--data",
      "data",
      "--epochs",
      "16",
      "--batch-size",
      "8",
      "--optimizer",
      "adamw",
      "--lr",
      "0.01",
      "--ema",
      "0.9",
      "--no-check",
    ];
    const through = await run(...options, "-o", "through.onnx");
    expect([through.status, through.stderr]).toEqual([0, ""]);
    const kept = [
      ...options,
      "-o",
      "killed.onnx",
      "--checkpoint",
      "points",
      "--checkpoint-every",
      "7",
      "--log",
      "killed.jsonl",
    ];
    const { child, finished } = startTersor(["finetune", ...kept], fixtures.path);
    // 18 batches an epoch: step 70 is in the middle of one.
    const log = fixtures.at("killed.jsonl");
    const reached = (): boolean =>
      existsSync(log) && /"checkpoint","step":(7\d|[89]\d|\d{3,})/.test(readFileSync(log, "utf8"));
    while (!reached() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 2));
    child.kill("SIGKILL");
    expect((await finished).signal).toBe("SIGKILL");
    expect(existsSync(fixtures.at("killed.onnx"))).toBe(false);
    const resumed = await run(...kept, "--resume", "--json");
    expect([resumed.status, resumed.stderr]).toEqual([0, ""]);
    const starts = readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; step: number; from?: string })
      .filter(({ type }) => type === "start");
    expect(starts).toMatchObject([{ step: 0 }, { from: expect.stringContaining("points/step-") }]);
    expect(starts[1]!.step).toBeGreaterThanOrEqual(70);
    expect(starts[1]!.step % 18).not.toBe(0);
    expect(readFileSync(fixtures.at("killed.onnx")).equals(readFileSync(fixtures.at("through.onnx")))).toBe(true);
    const [last] = readdirSync(fixtures.at("points")).slice(-1);
    expect(last).toBe("step-00000288");
    // A checkpoint's model is one like any other.
    expect(structure(`points/${last}/model.onnx`)).toEqual(structure("net.onnx"));
  }, 60_000);

  it("leaves a checkpoint when it is cancelled", async () => {
    const args = [
      "net.onnx",
      "-o",
      "never.onnx",
      "--data",
      "data",
      "--epochs",
      "5000",
      "--checkpoint",
      "cancelled",
      "--log",
      "cancelled.jsonl",
    ];
    const { child, finished } = startTersor(["finetune", ...args, ...QUICK], fixtures.path);
    const log = fixtures.at("cancelled.jsonl");
    while (!(existsSync(log) && readFileSync(log, "utf8").includes('"step":20')) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGINT");
    const { status, stderr } = await finished;
    expect([status, stderr]).toEqual([130, "tersor: cancelled; nothing was written\n"]);
    expect(readFileSync(log, "utf8")).toMatch(/"type":"end","step":\d+,"reason":"cancelled"}\n$/);
    const step = Number(/"step":(\d+),"reason"/.exec(readFileSync(log, "utf8"))![1]);
    expect(readdirSync(fixtures.at("cancelled"))).toContain(`step-${String(step).padStart(8, "0")}`);
    expect(existsSync(fixtures.at("never.onnx"))).toBe(false);
    const other = await run(...args, "--resume", "--lr", "0.5", ...QUICK);
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringMatching(
        /cancelled\/step-.*: option learningRate was 0\.0001, is 0\.5\. Give what it was begun with/,
      ),
    ]);
  }, 60_000);

  it("tells every option in its help", async () => {
    const { stdout, status } = await run("--help");
    expect(status).toBe(0);
    for (const [name, { default: initial }] of Object.entries(fieldsOf(finetuneOptions))) {
      expect(stdout).toContain(`--${initial === true ? "no-" : ""}${kebab(name)}`);
    }
  });
});

/** Exit status, and words, of what is typed. */
const BAD: [string, RegExp, number?][] = [
  ["net.onnx", /finetune: --data: expected samples to train on, got none\. Give a folder/],
  [
    "net.onnx --data data --train nothing*",
    /option train: expected patterns that .*"nothing\*", which matches none.*w1/,
  ],
  ["net.onnx --data data --optimizer lion", /--optimizer <name>' argument 'lion' is invalid/],
  [
    "net.onnx --data data --lr 1e30 --optimizer sgd --loss cross-entropy",
    /net\.onnx: train: step \d+: expected a loss that is a number, got (NaN|Infinity)\. No checkpoint was written before/,
    1,
  ],
];

/** What the call refuses, in this process: starting one takes longer. */
const REFUSED: [string, FinetuneFileOptions & { readonly model?: string }, RegExp][] = [
  ["generated data", { data: "random" }, /got generated ones, from which nothing can be learned/],
  ["data that are not there", { data: "nowhere" }, /nowhere: expected a file or folder/],
  ["a model that is not there", { model: "nowhere.onnx" }, /nowhere\.onnx: expected a model file, found nothing there/],
  ["to learn from itself", { data: "plain" }, /--teacher: expected a model to learn from: MODEL gives its own outputs/],
  [
    "labels that are missing",
    { data: "plain", finetune: { loss: "cross-entropy" } },
    /net\.onnx: train: sample \d+, label: expected numbers for the loss cross-entropy, got no label\. .*--loss distill/,
  ],
  [
    "labels out of range",
    { data: "wrong", finetune: { loss: "cross-entropy" } },
    /expected a class from 0 to 2, .*, got 3/,
  ],
  ["labels of another kind", { data: "wrong" }, /labels: expected classes, from which the loss follows.*--loss/],
  ["labels that are too few", { finetune: { loss: "mse" } }, /expected 96 numbers for \[32, 3\], .* mse .*, got 32/],
  ["to freeze all", { finetune: { freeze: ["*"] } }, /expected some to train, found none/],
  ["a share above 1", { finetune: { validation: "2" } }, /--validation: expected a share from 0 to below 1, or a path/],
  ["patience alone", { finetune: { validation: "0", patience: 3 } }, /patience: expected validation data to stop by/],
  [
    "too little memory",
    { finetune: { maxMemory: 1e-3 } },
    /memory: expected at most 1\.00 kB, .*--batch-size.*--freeze/,
  ],
  ["to resume from nothing", { finetune: { resume: true } }, /--resume: expected --checkpoint/],
  [
    "a teacher of labels",
    { finetune: { loss: "mse", teacher: "net.onnx" } },
    /--teacher: expected --loss distill, got mse/,
  ],
  ["layers of labels", { finetune: { loss: "mse", layerwise: 1 } }, /--layerwise: expected --loss distill, got mse/],
  ["to augment what is no image", { finetune: { augment: "shift=1" } }, /--augment: expected images/],
  ["no epochs", { finetune: { epochs: 0 } }, /option "epochs"/],
  ["to overwrite the input", { output: "net.onnx" }, /expected another file than the input/],
];

describe("what finetune refuses", () => {
  it.each(BAD)("%s", async (args: string, says: RegExp, status = 2) => {
    const finished = await run(...args.split(" "), "-o", "refused.onnx", ...QUICK);
    expect(finished.stderr).toMatch(says);
    expect([finished.status, finished.stdout]).toEqual([status, ""]);
    expect(finished.stderr).not.toMatch(/^\s+at |unexpected error/m);
    expect(existsSync(fixtures.at("refused.onnx"))).toBe(false);
  });

  it.each(REFUSED)(
    "%s",
    async (_what, { model: name = "net.onnx", data = "data", output = "refused.onnx", ...options }, says) => {
      const at = { data: data === "random" ? data : fixtures.at(data), output: fixtures.at(output) };
      await expect(finetuneFile(fixtures.at(name), { ...options, ...at })).rejects.toThrow(says);
      expect(existsSync(fixtures.at("refused.onnx"))).toBe(false);
    },
  );
});
