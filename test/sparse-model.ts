/**
 * @file The model with sparse initializers that Tersor writes and another reader has read: test/reference/sparse.json says
 * what that reader found in these bytes.
 */
import type { Model } from "../src/graph/model.ts";
import { toSparse } from "../src/onnx/sparse-proto.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { modelOf } from "./helpers.ts";

/** Every fifth element of 7,000, so that positions take one and two bytes; a matrix of codes; one of zeros. */
export function sparseModel(): Model {
  const model = modelOf(
    `(float[1, 70] x) => (float[1, 10] y, float[4] c)
    <float[70, 100] w = random(1), float[100, 10] v = random(2), float[4] z = {0, 0, 0, 0}, int8[2, 3] q = {0, -5, 0, 0, 0, 7}>
    { h = MatMul(x, w)  y = MatMul(h, v)  f = Cast<to = 1>(q)  s = ReduceSum<keepdims = 0>(f)  c = Add(z, s) }`,
  );
  for (const value of model.graph.initializers) {
    const tensor = value.initializer!;
    const kept =
      value.name === "w"
        ? Tensor.float32(
            tensor.dims,
            tensor.floats().map((x, i) => (i % 5 === 3 ? x : 0)),
          )
        : tensor;
    if (value.name !== "v") value.initializer = toSparse(kept)!;
  }
  return model;
}
