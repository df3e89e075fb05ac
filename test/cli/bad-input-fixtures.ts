/**
 * @file The files of the table of bad inputs.
 */
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { encodeNpy } from "../../src/data/npy.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { writeModelFile } from "../../src/onnx/file-node.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import reference from "../reference/texts.json" with { type: "json" };
import {
  bytesOfModel,
  CONV,
  EMBEDDING,
  externalModel,
  type Folder,
  MLP,
  modelOf,
  PICKY,
  UNKNOWN_OP,
} from "./models.ts";

const ones = (...dims: number[]): Tensor =>
  Tensor.float32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1));

export function makeFixtures(folder: Folder): void {
  models(folder);
  externalData(folder);
  data(folder);
}

function models(folder: Folder): void {
  const mlp = modelOf(MLP);
  const bytes = bytesOfModel(mlp);
  folder.put("mlp.onnx", bytes);
  folder.model("picky.onnx", PICKY);
  folder.model("embedding.onnx", EMBEDDING);
  folder.model("conv.onnx", CONV);
  const ids = EMBEDDING.replace(", float[batch, 32] bias", "").replace("Add(sum, bias)", "Relu(sum)");
  folder.model("ids.onnx", ids.replace("[64, 32]", "[120, 32]"));
  folder.model("few-ids.onnx", ids);
  folder.model("unknown-op.onnx", UNKNOWN_OP);
  folder.model("relu.onnx", "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }");
  folder.model("dangling.onnx", "g (float[N, 4] x) => (float[N, 4] y) { y = Add(x, nowhere) }");
  folder.model(
    "quantized.onnx",
    `g (float[N, 4] x) => (float[N, 4] y) <float s = {0.1}, uint8 z = {0}>
     { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }`,
  );
  folder.put("newer.onnx", bytesOfModel({ ...mlp, irVersion: 99 }));
  folder.put("text.onnx", "This is a text about a model, not a model.\n");
  folder.put("page.onnx", "<!DOCTYPE html><html><body>404 Not Found</body></html>");
  folder.put("array.onnx", encodeNpy(ones(4)));
  folder.put("zip.onnx", encodeNpz({ x: ones(4) }));
  folder.put("pointer.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n");
  folder.put("empty.onnx", "");
  // In the model's own fields, in the graph's, in a tensor, and one byte before the end.
  for (const length of [5, 60, 20_000, bytes.length - 1]) folder.put(`cut-${length}.onnx`, bytes.subarray(0, length));
  folder.put("cut-end.onnx", bytes.subarray(0, bytes.length - 1));
}

function externalData(folder: Folder): void {
  for (const name of ["missing", "short"]) {
    mkdirSync(folder.at(name));
    writeModelFile(folder.at(name, "model.onnx"), modelOf(MLP), { externalData: true });
  }
  copyFileSync(folder.at("missing/model.onnx"), folder.at("missing/moved.onnx"));
  folder.model("missing/model.onnx", externalModel("weights.bin"));
  folder.put("short/model.onnx_data", new Uint8Array(5000));
  folder.put("data.bin", new Uint8Array(8192).fill(1));
  folder.model("outside/dots.onnx", externalModel("../data.bin"));
  folder.model("outside/absolute.onnx", externalModel(folder.at("data.bin")));
  folder.model("outside/link.onnx", externalModel("link.bin"));
  symlinkSync("../data.bin", folder.at("outside/link.bin"));
  // Its data file is what the output "model.onnx" would write.
  folder.model("taken/input.onnx", externalModel("model.onnx_data"));
  folder.put("taken/model.onnx_data", new Uint8Array(8192).fill(1));
}

function data(folder: Folder): void {
  const sample = "{ inputs: { x: { dims: [1, 64], data: new Float32Array(64).fill(1) } } }";
  folder.put("data/good.npz", encodeNpz({ x: ones(1, 64) }));
  folder.put("data/names.npz", encodeNpz({ input: ones(1, 64) }));
  folder.put("data/dtype.npz", encodeNpz({ x: Tensor.of("float64", [1, 64], new Float64Array(64)) }));
  folder.put("data/rank.npz", encodeNpz({ x: ones(64) }));
  folder.put("data/dim.npz", encodeNpz({ x: ones(1, 63) }));
  folder.put("data/cut.npz", encodeNpz({ x: ones(1, 64) }).subarray(0, 200));
  folder.put("data/cut.npy", encodeNpy(ones(1, 64)).subarray(0, 200));
  folder.put("data/table.csv", "1,2,3\n");
  mkdirSync(folder.at("data/empty"));
  folder.put("data/exports.mjs", "export const samples = [];");
  folder.put("data/import.mjs", 'throw new Error("boom");');
  folder.put("data/syntax.mjs", "export function* calibration( {");
  folder.put("data/throws.mjs", 'export function* calibration() {\n  throw new RangeError("boom");\n}');
  folder.put("data/none.mjs", "export const calibration = () => [];");
  folder.put("data/plain.mjs", "export const calibration = () => [[1, 2, 3]];");
  folder.put(
    "data/score-throws.mjs",
    `export const evaluation = () => [${sample}];\nexport function score() { throw new TypeError("boom"); }`,
  );
  folder.put("data/photos/torn.png", "PNG");
  folder.put("data/unknown.json", '{ "sizes": 3 }');
  folder.put("data/large.json", '{ "resize": { "width": 9, "height": 8 } }');
  folder.put("data/texts.jsonl", '"a fox"\n{"text": \n');
  folder.put("data/words.txt", "a fox");
  folder.put("data/tokenizer.json", JSON.stringify(reference.tokenizers.wordPiece.file));
  folder.put("data/good.mjs", `export const evaluation = () => [${sample}];`);
  folder.put("data/score-text.mjs", `export const evaluation = () => [${sample}];\nexport const score = () => "good";`);
}
