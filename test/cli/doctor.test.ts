/**
 * @file `tersor doctor` on folders made for it: each thing that can be wrong with a file is there once, and is said in
 * one line.
 */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DoctorFile, DoctorGroup, Problem } from "../../src/analyze/doctor.ts";
import { quantizeFile } from "../../src/recipe/quantize-file.ts";
import { Folder } from "./models.ts";
import { type Finished, inParallel, tersor } from "./run.ts";

/** One row times matrices that are large enough for weights that stay folded to be many times slower on web-wasm. */
const layers = (seed: number, type = "float"): string => `g (float[1, 512] x) => (float[1, 512] y)
  <${type}[512, 512] a = random(${seed}), ${type}[512, 512] b = random(${seed + 1})>
  { h = MatMul(x, a) r = Relu(h) y = MatMul(r, b) }`;

/** The remainder of the smallest integer by -1: the processor traps in onnxruntime-node, which ends its process. */
const remainder = (by: number): string => `g (float[N, 64] x) => (float[N, 64] y)
  <float least = {-1e30}, int32 by = {${by}}>
  { a = Abs(x) b = Sub(least, a) i = Cast <to = 6> (b) d = Mod(i, by) y = Cast <to = 1> (d) }`;

const MEASURE = ["--time", "300ms", "--no-memory", "--samples", "2"];

interface Document {
  readonly ok: boolean;
  readonly groups: readonly DoctorGroup[];
}

const fixtures = new Folder();
afterAll(() => fixtures.remove());

async function quantize(input: string, output: string, step: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const options = { scheme: "weight-int8", check: false, step } as const;
  await quantizeFile(fixtures.at(input), { ...options, output: fixtures.at(output) });
}

function file({ groups }: Document, name: string): DoctorFile {
  const all = groups.flatMap((group) => [group.original, ...group.others]);
  return all.find(({ path }) => basename(path) === name)!;
}

/** Without speed, which a busy machine may find either way in files that are as fast as the original. */
const kinds = ({ problems }: DoctorFile): Problem["kind"][] =>
  problems.map(({ kind }) => kind).filter((kind) => kind !== "slower");

const doctor = (...args: string[]): Promise<Finished> => tersor(["doctor", ...args, ...MEASURE], fixtures.path);

describe("a folder in transformers.js' layout", () => {
  let text: Finished;
  let json: Finished;
  let document: Document;

  beforeAll(async () => {
    fixtures.model("repo/onnx/model.onnx", layers(1));
    await quantize("repo/onnx/model.onnx", "repo/onnx/model_int8.onnx");
    await quantize("repo/onnx/model.onnx", "repo/onnx/model_uint8.onnx", { storage: "dequantize-linear" });
    const bytes = readFileSync(fixtures.at("repo/onnx/model_int8.onnx"));
    fixtures.put("repo/onnx/model_bnb4.onnx", bytes.subarray(0, bytes.length / 2));
    fixtures.model("repo/onnx/model_q4.onnx", layers(1, "float16"));
    copyFileSync(fixtures.at("repo/onnx/model.onnx"), fixtures.at("repo/onnx/model_fp16.onnx"));
    fixtures.model("other.onnx", layers(7));
    await quantize("other.onnx", "repo/onnx/model_quantized.onnx");
    fixtures.put("repo/config.json", "{}");
    await inParallel([[], ["--json"]], 1, async (more) => {
      const finished = await doctor("repo", ...more);
      if (more.length > 0) json = finished;
      else text = finished;
    });
    document = JSON.parse(json.stdout) as Document;
  }, 120_000);

  it("finds the original among its files", () => {
    expect(document.groups).toHaveLength(1);
    const [{ original, others }] = document.groups as [DoctorGroup];
    expect([basename(original.path), original.usable, original.problems]).toEqual(["model.onnx", true, []]);
    expect(others).toHaveLength(6);
  });

  it("exits with 1, and says how many files cannot be used", () => {
    expect([text.status, json.status, document.ok]).toEqual([1, 1, false]);
    expect([text.stderr, json.stderr]).toEqual(["", ""]);
    expect(text.stdout).toContain("3 of 7 files cannot be used.");
  });

  it.each([
    ["model_int8.onnx", true, [], /[✓!] model_int8\.onnx/],
    ["model_bnb4.onnx", false, ["load"], /✗ model_bnb4\.onnx on node-cpu, web-wasm: does not load: .*truncated/],
    ["model_q4.onnx", false, ["load", "size"], /✗ model_q4\.onnx on node-cpu, web-wasm: does not load: .*Type Error/],
    [
      "model_quantized.onnx",
      false,
      ["output"],
      /✗ model_quantized\.onnx on .*: disagrees with the original: output "y": SQNR/,
    ],
    [
      "model_fp16.onnx",
      true,
      ["size"],
      /! model_fp16\.onnx: larger than it should be: 1\.00× of the original, where fp16 would be about 0\.50×/,
    ],
    [
      "model_uint8.onnx",
      true,
      [],
      /! model_uint8\.onnx on web-wasm: slower than the original: 0\.\d+× its speed .*disable_quant_qdq: '1'/,
    ],
  ] as const)("%s", (name, usable, found, line) => {
    const judged = file(document, name);
    expect([judged.usable, kinds(judged).sort()]).toEqual([usable, found]);
    // Lines are wrapped at 80 columns: as one text again.
    expect(text.stdout.replace(/\s+/g, " ")).toMatch(line);
    // The document has the same facts.
    for (const { text: fact } of judged.problems.filter(({ kind }) => kind !== "slower" && kind !== "output")) {
      expect(text.stdout.replace(/\s+/g, " ")).toContain(fact.replace(/\s+/g, " "));
    }
  });

  it("keeps to 80 columns", () => {
    expect(text.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  it("finds the original beside a single file", async () => {
    const { status, stdout } = await doctor("repo/onnx/model_int8.onnx", "--json", "--target", "node-cpu");
    const { groups } = JSON.parse(stdout) as Document;
    expect([status, groups.length]).toEqual([0, 1]);
    expect([groups[0]!.original, ...groups[0]!.others].map(({ path }) => basename(path))).toEqual([
      "model.onnx",
      "model_int8.onnx",
    ]);
  });
});

describe("other folders", () => {
  it("with good files only is well", async () => {
    fixtures.model("good/net.onnx", layers(1));
    await quantize("good/net.onnx", "good/net.int8.onnx");
    const { status, stdout } = await doctor("good");
    expect(stdout).toContain("Every file is usable.");
    expect(status).toBe(0);
  });

  it("without telling names: what has the same inputs, outputs and number of weights belongs together", async () => {
    fixtures.model("names/original.onnx", layers(1));
    fixtures.model("names/broken.onnx", layers(3));
    await quantize("names/original.onnx", "names/small.onnx");
    fixtures.model("names/another.onnx", "g (float[N, 4] ids) => (float[N, 4] y) { y = Relu(ids) }");
    const { status, stdout } = await doctor("names", "--json", "--target", "node-cpu");
    const document = JSON.parse(stdout) as Document;
    const families = document.groups.map(({ original, others }) =>
      [original, ...others].map(({ path }) => basename(path, ".onnx")),
    );
    expect(document.groups.map(({ guessed }) => guessed).sort()).toEqual([false, true]);
    expect(families.sort()).toEqual([["another"], ["original", "broken", "small"]]);
    expect([status, file(document, "broken.onnx").usable, file(document, "small.onnx").usable]).toEqual([
      1,
      false,
      true,
    ]);
  });

  it("with an original that does not load says so of it, and that nothing was compared", async () => {
    mkdirSync(fixtures.at("lost"));
    fixtures.model("lost/model.onnx", layers(1).replace("Relu", "Frobnicate"));
    fixtures.model("lost/model_fp16.onnx", layers(1));
    const { status, stdout, stderr } = await doctor("lost");
    expect([status, stderr]).toEqual([1, ""]);
    const said = stdout.replace(/\s+/g, " ");
    expect(said).toMatch(/✗ model\.onnx on node-cpu, web-wasm: does not load: .*Frobnicate/);
    expect(said).toMatch(/! model_fp16\.onnx on node-cpu, web-wasm: not compared: the original does not load/);
  });

  it("takes the original that is named", async () => {
    fixtures.model("named/b.onnx", layers(1));
    fixtures.model("reference.onnx", layers(1));
    const args = ["named", "--original", "reference.onnx", "--json", "--target", "node-cpu"];
    const { status, stdout } = await doctor(...args);
    const { groups } = JSON.parse(stdout) as Document;
    expect([status, groups.map(({ original }) => basename(original.path))]).toEqual([0, ["reference.onnx"]]);
    expect(groups[0]!.others.map(({ path, usable }) => [basename(path), usable])).toEqual([["b.onnx", true]]);
  });

  it("with a file that takes the runtime's process down goes on with the rest", async () => {
    fixtures.model("crash/model.onnx", remainder(7));
    fixtures.model("crash/model_int8.onnx", remainder(-1));
    fixtures.model("crash/model_uint8.onnx", remainder(7));
    const { status, stdout } = await doctor("crash", "--json", "--target", "node-cpu", "--time", "0");
    const document = JSON.parse(stdout) as Document;
    expect(status).toBe(1);
    const crashed = file(document, "model_int8.onnx");
    expect([crashed.usable, crashed.problems[0]!.text]).toEqual([
      false,
      expect.stringMatching(/^does not load: the runtime's process ended (by SIG|with exit status)/),
    ]);
    expect(file(document, "model.onnx").usable && file(document, "model_uint8.onnx").usable).toBe(true);
  });

  it("with an original that takes it down reports that, too", async () => {
    fixtures.model("crash-first/model.onnx", remainder(-1));
    fixtures.model("crash-first/model_int8.onnx", remainder(7));
    const { status, stdout } = await doctor("crash-first", "--target", "node-cpu", "--time", "0");
    expect(status).toBe(1);
    expect(stdout.replace(/\s+/g, " ")).toMatch(
      /✗ model\.onnx on node-cpu: does not load: the runtime's process ended/,
    );
  });
});
