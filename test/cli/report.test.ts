/**
 * @file `--report` as it is typed: the file is there whole, says what was found and how to do it again, and takes the
 * place of nothing.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeNpz } from "../../src/data/npz.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { findAll, parseStrictHtml, textOf } from "../strict-html.ts";
import { Folder, MLP } from "./models.ts";
import { tersor } from "./run.ts";

const QUICK = ["--target", "node-cpu", "--time", "100ms", "--no-memory"];
const fixtures = new Folder();
afterAll(() => fixtures.remove());
beforeAll(() => {
  fixtures.model("a model.onnx", MLP);
  const random = createRandom(1);
  for (let i = 0; i < 4; i++) {
    const x = Tensor.float32(
      [16, 64],
      Float32Array.from({ length: 1024 }, () => random.normal()),
    );
    fixtures.put(`samples/${i}.npz`, encodeNpz({ x }));
  }
});

function read(name: string): { readonly titles: string[]; readonly words: string } {
  const page = parseStrictHtml(readFileSync(fixtures.at(name), "utf8"));
  return {
    titles: findAll(page, "h2").map(textOf),
    words: textOf(findAll(page, "body")[0]!).replace(/\s+/g, " "),
  };
}

describe("--report", () => {
  it("of quantize has what only a report looks at, with --sensitivity that too", async () => {
    const asked = ["--data", "samples", "--scheme", "static-int8", "--force", "--sensitivity"];
    const args = ["quantize", "a model.onnx", "-o", "small.onnx", ...asked, "--report", "reports/q.html", ...QUICK];
    const { stdout, stderr } = await tersor([...args, "--json"], fixtures.path);
    expect(stderr).toBe("");
    const document = JSON.parse(stdout);
    expect(document.saturation.products).toBe(2);
    expect(document.sensitivity.nodes).toHaveLength(2);
    const { titles, words } = read("reports/q.html");
    expect(titles).toEqual([
      "Accuracy",
      "Size",
      "Latency",
      "Error by layer",
      "Sensitivity",
      "Worst values and their ranges",
      "What was done and what was declined",
      "Saturation",
      "Conditions and command",
    ]);
    expect(words).toContain("tersor quantize 'a model.onnx' -o small.onnx --data samples");
    expect(words).toContain("--json --seed 0");
    expect(words).toContain("values inside both models, compared on 4 samples");
    expect(words).toMatch(/Clipped to −?[\d.]+ … [\d.]+ \(u?int8, scale/);
    expect(readdirSync(fixtures.at("reports"))).toEqual(["q.html"]);
  });

  it("of verify and doctor says what they say", async () => {
    expect(existsSync(fixtures.at("small.onnx"))).toBe(true);
    const both = ["verify", "a model.onnx", "small.onnx", "--data", "samples", "--seed", "3"];
    const verified = await tersor([...both, "--report", "v.html", ...QUICK], fixtures.path);
    expect(verified.stdout).toContain("a model.onnx → small.onnx");
    const verify = read("v.html");
    expect(verify.titles.slice(0, 4)).toEqual(["Accuracy", "Size", "Latency", "Error by layer"]);
    expect(verify.words).toContain("seed3");
    expect(verify.words).not.toContain("--seed 0");
    await tersor(["verify", "a model.onnx", "--report", "one.html", ...QUICK], fixtures.path);
    expect(read("one.html").titles).toEqual(["Size", "Latency", "Conditions and command"]);
    await tersor(["doctor", "small.onnx", "--original", "a model.onnx", "--report", "d.html", ...QUICK], fixtures.path);
    expect(read("d.html").words).toContain("2 files in 1 family");
  });

  it("is refused before anything is done where it would take another file's place", async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ["a model.onnx", /report: a model\.onnx: expected a name of its own, got that of another file of this run/],
      ["other.onnx", /report: other\.onnx: expected a name of its own, got a model's/],
      ["samples", /report: samples: expected a file name, got a folder/],
      ["a model.onnx/r.html", /a part of its path is a file, not a folder/],
      ["", /report: "": expected a file name, got an empty one\. Give the name of an \.html file/],
    ];
    for (const [path, says] of cases) {
      const args = ["quantize", "a model.onnx", "-o", "never.onnx", "--report", path, ...QUICK];
      const { status, stderr } = await tersor(args, fixtures.path);
      expect(status, path).toBe(2);
      expect(stderr).toMatch(says);
    }
    expect(existsSync(fixtures.at("never.onnx"))).toBe(false);
  });
});
