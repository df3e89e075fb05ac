/**
 * @file The nets of bench/train.ts, written once for every JavaScript framework: a net calls the layers of an adapter (tfjs.js, jax.js),
 * which asks for its parameters in order. The same nets as in bench/training-nets.ts; the bench compares the numbers of parameters.
 *
 * @typedef {{
 *   parameter: (dims: number[], init: number | "ones" | "zeros") => any,
 * }} Parameters
 * `init`: uniform between ±1/√init, as PyTorch draws a layer's weights, or a constant.
 */

function residual(o, x, into, out, stride) {
  let y = o.relu(o.batchNorm(o.conv(o.keep(x), into, out, 3, { stride, padding: 1 }), out));
  y = o.batchNorm(o.conv(y, out, out, 3, { padding: 1 }), out);
  const straight = stride === 1 && into === out ? x : o.batchNorm(o.conv(x, into, out, 1, { stride }), out);
  return o.relu(o.add(y, straight));
}

function inverted(o, x, into, out, stride) {
  const hidden = 4 * into;
  const same = stride === 1 && into === out;
  let y = o.relu6(o.batchNorm(o.conv(same ? o.keep(x) : x, into, hidden, 1), hidden));
  y = o.relu6(o.batchNorm(o.depthwise(y, hidden, 3, { stride, padding: 1 }), hidden));
  y = o.batchNorm(o.conv(y, hidden, out, 1), out);
  return same ? o.add(x, y) : y;
}

/** Post-norm, as PyTorch's default. */
function encoderLayer(o, x, width, heads) {
  const attended = o.layerNorm(o.add(o.attention(o.keep(x), width, heads), x), width);
  const inner = o.gelu(o.linear(o.keep(attended), width, 4 * width));
  return o.layerNorm(o.add(o.linear(inner, 4 * width, width), attended), width);
}

/** `dims` as PyTorch has them, [N, C, H, W] or [N, T, E]; `forward(o, x)` gives logits [N, 10]. */
export const NETS = {
  mlp: {
    dims: [128, 1, 28, 28],
    forward(o, x) {
      const first = o.relu(o.linear(o.flatten(x), 784, 300));
      return o.linear(o.relu(o.linear(first, 300, 100)), 100, 10);
    },
  },
  lenet5: {
    dims: [128, 1, 28, 28],
    forward(o, x) {
      const first = o.maxPool2(o.conv(x, 1, 20, 5, { bias: true }));
      const second = o.maxPool2(o.conv(first, 20, 50, 5, { bias: true }));
      return o.linear(o.relu(o.linear(o.flatten(second), 800, 500)), 500, 10);
    },
  },
  resnet20: {
    dims: [64, 3, 32, 32],
    forward(o, x) {
      let y = o.relu(o.batchNorm(o.conv(x, 3, 16, 3, { padding: 1 }), 16));
      let into = 16;
      for (const out of [16, 32, 64]) {
        for (let i = 0; i < 3; i++) {
          y = residual(o, y, into, out, i === 0 && out > 16 ? 2 : 1);
          into = out;
        }
      }
      return o.linear(o.globalMean(y), 64, 10);
    },
  },
  mobilenet: {
    dims: [32, 3, 32, 32],
    forward(o, x) {
      let y = o.relu6(o.batchNorm(o.conv(x, 3, 16, 3, { stride: 2, padding: 1 }), 16));
      let into = 16;
      const blocks = [
        [24, 1],
        [24, 1],
        [48, 2],
        [48, 1],
        [48, 1],
        [80, 1],
        [80, 1],
      ];
      for (const [out, stride] of blocks) {
        y = inverted(o, y, into, out, stride);
        into = out;
      }
      y = o.relu6(o.batchNorm(o.conv(y, into, 256, 1), 256));
      return o.linear(o.globalMean(y), 256, 10);
    },
  },
  transformer: {
    dims: [32, 64, 256],
    forward(o, x) {
      let y = x;
      for (let i = 0; i < 2; i++) y = encoderLayer(o, y, 256, 4);
      return o.linear(o.tokenMean(y), 256, 10);
    },
  },
};

export const [LEARNING_RATE, MOMENTUM] = [0.01, 0.9];

/** Mulberry32: the same batch and the same first values everywhere. */
export function createRandom(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  // Box and Muller 1958.
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** First values of a parameter. */
export function initial(random, dims, init) {
  const size = dims.reduce((a, b) => a * b, 1);
  if (typeof init === "string") return new Float32Array(size).fill(init === "ones" ? 1 : 0);
  const bound = 1 / Math.sqrt(init);
  return Float32Array.from({ length: size }, () => bound * (2 * random.uniform() - 1));
}

/** A batch of noise with labels: only the time counts, and that the loss falls. */
export function batchOf(dims) {
  const random = createRandom(1);
  const size = dims.reduce((a, b) => a * b, 1);
  return {
    x: Float32Array.from({ length: size }, random.normal),
    labels: Int32Array.from({ length: dims[0] }, () => Math.floor(10 * random.uniform())),
  };
}
