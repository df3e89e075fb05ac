/**
 * @file jax-js: its layers for nets.js, channels first, and its training step. Every use of an array but the last takes
 * `.ref`: jax-js counts references. `jax` is given, because each platform loads it in its own way.
 */
import { batchOf, createRandom, initial, LEARNING_RATE, MOMENTUM, NETS } from "./nets.js";

/** Nets whose step is faster not compiled (jax-js 0.1.25, WASM: 2 times); the others' is compiled as a whole, which is 2 to 7 times faster. */
const COMPILED_IS_SLOWER = new Set(["lenet5"]);

/** Layers over [N, C, H, W] and [N, T, E]; `next(dims, init)` gives the next parameter. */
function layers({ lax, nn, numpy: np }, next) {
  /** `shape` lets scale and shift broadcast. */
  const norm = (x, axes, channels, shape) => {
    const centred = x.ref.sub(np.mean(x, axes, { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), axes, { keepdims: true });
    const scale = next([channels], "ones").reshape(shape);
    const shift = next([channels], "zeros").reshape(shape);
    return centred
      .mul(np.reciprocal(np.sqrt(variance.add(1e-5))))
      .mul(scale)
      .add(shift);
  };
  const linear = (x, into, out) => {
    const shape = [...x.shape.slice(0, -1), out];
    const y = np.matmul(x.reshape([-1, into]), next([into, out], into)).add(next([out], into));
    return y.reshape(shape);
  };
  const conv = (x, weight, { stride = 1, padding = 0 }, groups = 1) => {
    const pairs = [
      [padding, padding],
      [padding, padding],
    ];
    return lax.convGeneralDilated(x, weight, [stride, stride], pairs, { featureGroupCount: groups });
  };
  return {
    keep: (x) => x.ref,
    add: (a, b) => a.add(b),
    relu: (x) => nn.relu(x),
    relu6: (x) => nn.relu6(x),
    gelu: (x) => nn.gelu(x, { approximate: false }),
    flatten: (x) => x.reshape([x.shape[0], -1]),
    globalMean: (x) => np.mean(x, [2, 3]),
    tokenMean: (x) => np.mean(x, 1),
    maxPool2: (x) => lax.reduceWindow(x, np.max, [2, 2], [2, 2]),
    linear,
    conv(x, into, out, kernel, options = {}) {
      const y = conv(x, next([out, into, kernel, kernel], kernel * kernel * into), options);
      return options.bias ? y.add(next([out], kernel * kernel * into).reshape([out, 1, 1])) : y;
    },
    depthwise: (x, channels, kernel, options) =>
      conv(x, next([channels, 1, kernel, kernel], kernel * kernel), options, channels),
    batchNorm: (x, channels) => norm(x, [0, 2, 3], channels, [channels, 1, 1]),
    layerNorm: (x, width) => norm(x, [-1], width, [width]),
    attention(x, width, heads) {
      const [n, tokens] = x.shape;
      const size = width / heads;
      const split = (v) => np.transpose(v.reshape([n, tokens, heads, size]), [0, 2, 1, 3]); // [N, heads, T, d]
      const [q, k, v] = np.split(linear(x, width, 3 * width), 3, -1).map(split);
      const weights = nn.softmax(np.matmul(q.mul(1 / Math.sqrt(size)), np.matrixTranspose(k)), -1);
      const mixed = np.transpose(np.matmul(weights, v), [0, 2, 1, 3]);
      return linear(mixed.reshape([n, tokens, width]), width, width);
    },
  };
}

/** @returns {{ parameters: number, step: () => Promise<number> }} `step` trains once and reads the loss. */
export function createTraining(jax, name) {
  const { jit, nn, numpy: np, valueAndGrad } = jax;
  const { dims, forward } = NETS[name];
  const batch = batchOf(dims);
  const input = np.array(batch.x).reshape(dims);
  const target = nn.oneHot(np.array(batch.labels, { dtype: np.int32 }), 10);
  const random = createRandom(2);
  let weights = [];
  const create = (shape, init) => {
    weights.push(np.array(initial(random, shape, init)).reshape(shape));
    return weights.at(-1).ref;
  };
  forward(layers(jax, create), input.ref.slice([0, 1])).dispose();
  const parameters = weights.reduce((sum, { size }) => sum + size, 0);
  let velocities = weights.map(({ shape }) => np.zeros(shape));

  const loss = (all, x, y) => {
    let index = 0;
    const logits = forward(
      layers(jax, () => all[index++]),
      x,
    );
    return nn
      .logSoftmax(logits)
      .mul(y)
      .sum()
      .mul(-1 / dims[0]);
  };
  // v ← 0.9 v + g, w ← w − 0.01 v, as PyTorch's SGD.
  const compile = COMPILED_IS_SLOWER.has(name) ? (run) => run : jit;
  const update = compile((all, before, x, y) => {
    const [value, gradients] = valueAndGrad(loss)(
      all.map((weight) => weight.ref),
      x,
      y,
    );
    const next = before.map((velocity, i) => velocity.mul(MOMENTUM).add(gradients[i]));
    return [value, all.map((weight, i) => weight.sub(next[i].ref.mul(LEARNING_RATE))), next];
  });
  return {
    parameters,
    async step() {
      const [value, nextWeights, nextVelocities] = update(weights, velocities, input.ref, target.ref);
      [weights, velocities] = [nextWeights, nextVelocities];
      await jax.blockUntilReady(weights.map((weight) => weight.ref));
      return (await value.data())[0];
    },
  };
}
