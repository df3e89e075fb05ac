/**
 * @file Small models from text, and a folder for them, for the tests of the command.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { encodeModel, joinChunks } from "../../src/onnx/encode.ts";
import type { ModelProto } from "../../src/onnx/messages.ts";
import { parseModel } from "../../src/onnx/text.ts";

const HEADER = '<ir_version: 8, opset_import: ["" : 13]>';

/** A model from ONNX's textual syntax without the model's header. */
export function modelOf(graph: string): ModelProto {
  return parseModel(`${HEADER} ${graph}`);
}

export function bytesOfModel(model: ModelProto): Uint8Array {
  return joinChunks(encodeModel(model));
}

/** Two layers; large enough that weights, not the structure, make the file's size. */
export const MLP = `mlp (float[batch, 64] x) => (float[batch, 32] y)
  <float[64, 128] w1 = random(1), float[128] b1 = random(2), float[128, 32] w2 = random(3)>
  { h = MatMul(x, w1) hb = Add(h, b1) hr = Relu(hb) y = MatMul(hr, w2) }`;

/** One input whose height and width no guess at sizes finds: the Reshape wants 8 × 40. */
export const PICKY = `picky (float[1, 3, height, width] x) => (float[1, 32] y)
  <int64[2] shape = {1, 960}, float[960, 32] w = random(1)> { flat = Reshape(x, shape) y = MatMul(flat, w) }`;

/** Two inputs, one of integers. */
export const EMBEDDING = `embedding (int64[batch, length] ids, float[batch, 32] bias) => (float[batch, 32] y)
  <float[64, 32] table = random(1), int64[1] axes = {1}>
  { rows = Gather(table, ids) sum = ReduceSum <keepdims = 0> (rows, axes) y = Add(sum, bias) }`;

/** Small images. */
export const CONV = `conv (float[N, 3, 8, 8] x) => (float[N, 64] y)
  <float[64, 3, 8, 8] w = random(1)> { c = Conv(x, w) y = Flatten(c) }`;

/** An operator that no runtime has. */
export const UNKNOWN_OP = `unknown (float[N, 64] x) => (float[N, 32] y)
  <float[64, 32] w = random(1)> { h = Frobnicate(x) y = MatMul(h, w) }`;

/** ConvInteger with int8 input and weights: valid ONNX, no kernel in ONNX Runtime (onnxruntime#15888). */
export const CONV_INTEGER_INT8 = `conv (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
  <float scale = {0.1}, int8 zero = {0}, int8[4, 3, 1, 1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
  { q = QuantizeLinear(x, scale, zero) c = ConvInteger(q, w) y = Cast <to = 1> (c) }`;

/** A folder of a test's own. */
export class Folder {
  readonly path: string = mkdtempSync(join(tmpdir(), "tersor-cli-"));

  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  put(name: string, content: Uint8Array | string): string {
    const path = this.at(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  model(name: string, graph: string): string {
    return this.put(name, bytesOfModel(modelOf(graph)));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A model whose only weight is in another file. */
export function externalModel(location: string): string {
  return `external (float[N, 64] x) => (float[N, 32] y)
    <float[64, 32] w = ["location": ${JSON.stringify(location)}, "offset": "0", "length": "8192"]> { y = MatMul(x, w) }`;
}
