/**
 * @file TensorFlow.js: its layers for nets.js, channels last, and its training step. `tf` is given, because each platform loads it in its
 * own way.
 */
import { batchOf, createRandom, initial, LEARNING_RATE, MOMENTUM, NETS } from "./nets.js";

/** Layers over [N, H, W, C] and [N, T, E]; `next(dims, init)` gives the next parameter. */
function layers(tf, next) {
  const norm = (x, axes, channels) => {
    const { mean, variance } = tf.moments(x, axes, axes.length === 1);
    const scale = next([channels], "ones");
    const shift = next([channels], "zeros");
    if (axes.length > 1) return tf.batchNorm(x, mean, variance, shift, scale, 1e-5);
    return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), scale), shift);
  };
  const linear = (x, into, out) => {
    // One product of matrices: a broadcast one is slower on every backend.
    const flat = tf.reshape(x, [-1, into]);
    const y = tf.add(tf.matMul(flat, next([into, out], into)), next([out], into));
    return tf.reshape(y, [...x.shape.slice(0, -1), out]);
  };
  return {
    keep: (x) => x,
    add: (a, b) => tf.add(a, b),
    relu: (x) => tf.relu(x),
    relu6: (x) => tf.relu6(x),
    // x / 2 · (1 + erf(x / √2))
    gelu: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
    flatten: (x) => tf.reshape(x, [x.shape[0], -1]),
    globalMean: (x) => tf.mean(x, [1, 2]),
    tokenMean: (x) => tf.mean(x, 1),
    maxPool2: (x) => tf.maxPool(x, 2, 2, "valid"),
    linear,
    conv(x, into, out, kernel, { stride = 1, padding = 0, bias = false } = {}) {
      const y = tf.conv2d(x, next([kernel, kernel, into, out], kernel * kernel * into), stride, padding);
      return bias ? tf.add(y, next([out], kernel * kernel * into)) : y;
    },
    depthwise: (x, channels, kernel, { stride = 1, padding = 0 }) =>
      tf.depthwiseConv2d(x, next([kernel, kernel, channels, 1], kernel * kernel), stride, padding),
    batchNorm: (x, channels) => norm(x, [0, 1, 2], channels),
    layerNorm: (x, width) => norm(x, [-1], width),
    attention(x, width, heads) {
      const [n, tokens] = x.shape;
      const size = width / heads;
      const split = (v) => tf.transpose(tf.reshape(v, [n, tokens, heads, size]), [0, 2, 1, 3]); // [N, heads, T, d]
      const [q, k, v] = tf.split(linear(x, width, 3 * width), 3, -1).map(split);
      const weights = tf.softmax(tf.matMul(tf.mul(q, 1 / Math.sqrt(size)), k, false, true));
      const mixed = tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]);
      return linear(tf.reshape(mixed, [n, tokens, width]), width, width);
    },
  };
}

/** @returns {{ parameters: number, step: () => Promise<number> }} `step` trains once and reads the loss. */
export function createTraining(tf, name) {
  const { dims, forward } = NETS[name];
  const batch = batchOf(dims);
  const [n, c, h, w] = dims;
  const input = tf.tidy(() =>
    dims.length === 4 ? tf.transpose(tf.tensor(batch.x, [n, c, h, w]), [0, 2, 3, 1]).clone() : tf.tensor(batch.x, dims),
  );
  const target = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(batch.labels, "int32"), 10), "float32"));
  const random = createRandom(2);
  const variables = [];
  const create = (shape, init) => {
    variables.push(tf.variable(tf.tensor(initial(random, shape, init), shape)));
    return variables.at(-1);
  };
  const one = tf.slice(input, 0, 1);
  tf.tidy(() => void forward(layers(tf, create), one));
  const optimizer = tf.train.momentum(LEARNING_RATE, MOMENTUM);
  const loss = () => {
    let index = 0;
    const logits = forward(
      layers(tf, () => variables[index++]),
      input,
    );
    return tf.losses.softmaxCrossEntropy(target, logits);
  };
  return {
    parameters: variables.reduce((sum, variable) => sum + variable.size, 0),
    async step() {
      const value = optimizer.minimize(loss, true, variables);
      const [read] = await value.data();
      value.dispose();
      return read;
    },
  };
}
