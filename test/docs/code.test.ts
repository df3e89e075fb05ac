/**
 * @file The guides' code runs: every TypeScript block as a program of its own, every command as it stands, one after the
 * other as a reader would, in a folder with a model.onnx. What needs a device or a browser of the reader's is checked for
 * its flags only.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { zipSync } from "fflate";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeNpz } from "../../src/data/npz.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { compileSources } from "../cli/compiled.ts";
import { tersor } from "../cli/run.ts";
import { bytesOf, modelOf } from "../helpers.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const GUIDES = ["from-pytorch", "guide-node", "guide-browser", "nn", "pruning", "sparse", "training"] as const;

/** Two layers, as wide as the guides say. */
const MODEL = `(float[1, 784] x) => (float[1, 10] y) <float[784, 64] w = random(1), float[64] b = random(2), float[64, 10] v = random(3)>
  { [first] a = Gemm(x, w, b)  r = Relu(a)  [second] y = MatMul(r, v) }`;

/** Commands that wait for a device, or start a browser, which has tests of its own. */
const NOT_RUN = /--serve|--browser/;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tersor-docs-"));
  writeFileSync(join(folder, "model.onnx"), bytesOf(modelOf(MODEL)));
  const random = createRandom(1);
  const files: Record<string, Uint8Array> = {};
  for (let i = 0; i < 24; i++) {
    const x = Tensor.float32(
      [1, 784],
      Float32Array.from({ length: 784 }, () => random.next()),
    );
    files[`${i}.npz`] = encodeNpz({ x });
  }
  writeFileSync(join(folder, "feeds.zip"), zip(files));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Block {
  readonly language: string;
  readonly code: string;
  readonly line: number;
}

function blocksOf(guide: string): Block[] {
  const text = readFileSync(join(root, "docs", `${guide}.md`), "utf8");
  return [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map((match) => ({
    language: match[1]!,
    code: match[2]!,
    line: text.slice(0, match.index).split("\n").length,
  }));
}

/** A program as a reader's compiler makes it, beside the package as it is installed. */
function compile(code: string): string {
  const entry = (name: string): string => JSON.stringify(pathToFileURL(join(compileSources(), name)).href);
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  return outputText
    .replaceAll('"tersor/node"', entry("node.js"))
    .replaceAll('"tersor/nn"', entry("nn.js"))
    .replaceAll('"tersor"', entry("index.js"))
    .replaceAll(
      '"onnxruntime-node"',
      JSON.stringify(pathToFileURL(join(root, "node_modules/onnxruntime-node/dist/index.js")).href),
    );
}

describe.each(GUIDES)("docs/%s.md", (guide) => {
  const blocks = blocksOf(guide);

  it.each(blocks.filter(({ language }) => language === "ts"))(
    "the program at line $line runs",
    async ({ code, line }) => {
      const path = join(folder, `${guide}-${line}.mjs`);
      writeFileSync(path, compile(code));
      const { stderr } = await run(process.execPath, [path], { cwd: folder, maxBuffer: 2 ** 24 });
      expect(stderr).toBe("");
    },
  );

  const commands = blocks
    .filter(({ language }) => language === "sh")
    .flatMap(({ code, line }) =>
      code
        .split("\n")
        .filter((text) => text.startsWith("npx tersor "))
        .map((text) => ({ command: text.slice("npx tersor ".length), line })),
    );

  it.each(commands)("tersor $command", async ({ command }) => {
    const args = command.split(" ");
    if (NOT_RUN.test(command)) {
      const { stdout } = await tersor([args[0]!, "--help"], folder);
      for (const flag of args.filter((arg) => arg.startsWith("--"))) expect(stdout).toContain(flag);
      return;
    }
    // A small model says nothing about speed: the status may say "slower", but nothing else.
    const { stdout } = await tersor([...args, "--json", "--time", "200ms", "--no-memory"], folder);
    const result = JSON.parse(stdout) as { error?: { message: string }; output?: { byteLength: number } };
    expect(result.error).toBeUndefined();
  });
});

/** A zip archive without compression. */
function zip(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  return zipSync(files, { level: 0 });
}
