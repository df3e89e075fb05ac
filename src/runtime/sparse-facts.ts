/**
 * @file What runtimes take and how fast zeros run. Written by scripts/probe-sparse.ts: not to be edited.
 * onnxruntime-node 1.30.0, onnxruntime-web 1.30.0; one thread; AMD EPYC, linux x64, Node 20.20.2; 2026-11-24.
 */
import type { SparseFormFact, ZeroSpeedFact } from "./sparse.ts";

export const SPARSE_FORM_FACTS: readonly SparseFormFact[] = [
  {
    target: "node-cpu",
    form: "sparse_initializer",
    taken: true,
  },
  {
    target: "node-cpu",
    form: "sparse_value",
    taken: true,
  },
  {
    target: "web-wasm",
    form: "sparse_initializer",
    taken: true,
  },
  {
    target: "web-wasm",
    form: "sparse_value",
    taken: true,
  },
  {
    target: "web-webgpu",
    form: "sparse_initializer",
    taken: false,
  },
  {
    target: "web-webgpu",
    form: "sparse_value",
    taken: false,
  },
];

export const ZERO_SPEED_FACTS: readonly ZeroSpeedFact[] = [
  {
    target: "node-cpu",
    zeros: "unstructured",
    op: "MatMul",
    ratio: 0.98,
  },
  {
    target: "node-cpu",
    zeros: "2:4",
    op: "MatMul",
    ratio: 0.99,
  },
  {
    target: "node-cpu",
    zeros: "stored-sparse",
    op: "MatMul",
    ratio: 1,
  },
  {
    target: "node-cpu",
    zeros: "unstructured",
    op: "Conv",
    ratio: 1,
  },
  {
    target: "node-cpu",
    zeros: "2:4",
    op: "Conv",
    ratio: 1,
  },
  {
    target: "node-cpu",
    zeros: "stored-sparse",
    op: "Conv",
    ratio: 1,
  },
  {
    target: "web-wasm",
    zeros: "unstructured",
    op: "MatMul",
    ratio: 1,
  },
  {
    target: "web-wasm",
    zeros: "2:4",
    op: "MatMul",
    ratio: 1,
  },
  {
    target: "web-wasm",
    zeros: "stored-sparse",
    op: "MatMul",
    ratio: 1,
  },
  {
    target: "web-wasm",
    zeros: "unstructured",
    op: "Conv",
    ratio: 1,
  },
  {
    target: "web-wasm",
    zeros: "2:4",
    op: "Conv",
    ratio: 0.99,
  },
  {
    target: "web-wasm",
    zeros: "stored-sparse",
    op: "Conv",
    ratio: 1,
  },
];
