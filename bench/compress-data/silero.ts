/**
 * @file Frames for silero VAD (npm @ricky0123/vad-web): synthetic voices with pauses over noise, 512 samples at 16 kHz, each
 * with the state that the original has come to in front of it.
 *
 * A voice is a train of pulses with a wandering pitch through three resonances that change from syllable to syllable
 * (Klatt, Software for a Cascade/Parallel Formant Synthesizer, 1980); consonants are filtered noise.
 */
import { fileURLToPath } from "node:url";
import { createRuntime } from "../../src/runtime/create-node.ts";
import type { Sample } from "../../src/step/data.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";

export const sileroModel: string = fileURLToPath(
  new URL("../../node_modules/@ricky0123/vad-web/dist/silero_vad_v5.onnx", import.meta.url),
);

const RATE = 16_000;
const FRAME = 512;
/** Frames of one clip; of every third a sample is made, so that clips are many. */
const CLIP_FRAMES = 96;
const STRIDE = 3;

/** A two-pole resonance. */
function resonance(frequency: number, bandwidth: number): (x: number) => number {
  const r = Math.exp((-Math.PI * bandwidth) / RATE);
  const [a, b] = [2 * r * Math.cos((2 * Math.PI * frequency) / RATE), -r * r];
  let [y1, y2] = [0, 0];
  return (x) => {
    const y = (1 - a - b) * x + a * y1 + b * y2;
    [y2, y1] = [y1, y];
    return y;
  };
}

function clip(seed: number): Float32Array {
  const random = createRandom(seed);
  const between = (low: number, high: number): number => low + (high - low) * random.next();
  const out = new Float32Array(CLIP_FRAMES * FRAME);
  const noise = 10 ** between(-4, -1.7);
  const level = 10 ** between(-1.3, -0.3);
  let pitch = between(85, 230);
  let phase = 0;
  let position = 0;
  while (position < out.length) {
    const end = Math.min(out.length, position + Math.floor(RATE * between(0.08, 0.45)));
    const kind = random.next();
    const filters = [between(250, 850), between(850, 2300), between(2300, 3300)].map((f, i) =>
      resonance(f, 60 + 40 * i),
    );
    const length = end - position;
    for (let i = 0; position < end; i++, position++) {
      const envelope = Math.sin((Math.PI * (i + 0.5)) / length) ** 0.5;
      let x = 0;
      if (kind < 0.55) {
        pitch += between(-0.02, 0.02) * 4;
        phase += pitch / RATE;
        const pulse = phase >= 1 ? 1 : 0;
        if (pulse === 1) phase -= 1;
        x = filters.reduce((sum, filter, n) => sum + filter(pulse) * 0.6 ** n, 0) * 25 * level * envelope;
      } else if (kind < 0.7) x = filters[2]!(between(-1, 1)) * level * envelope;
      out[position] = Math.max(-1, Math.min(1, x + noise * between(-1, 1)));
    }
  }
  return out;
}

interface Heard {
  readonly sample: Sample;
  /** The original's probability of speech. */
  readonly probability: number;
}

/** Every third frame of one clip after the other, without an end. */
async function* listen(firstClip: number): AsyncGenerator<Heard> {
  const runtime = await createRuntime("onnxruntime-node");
  const session = await runtime.load({ path: sileroModel });
  try {
    const sr = Tensor.scalar("int64", RATE);
    for (let seed = firstClip; ; seed++) {
      const audio = clip(seed);
      let state = Tensor.float32([2, 1, 128], new Float32Array(256));
      for (let frame = 0; frame < CLIP_FRAMES; frame++) {
        const input = Tensor.float32([1, FRAME], audio.slice(frame * FRAME, (frame + 1) * FRAME));
        const inputs = { input, state, sr };
        const outputs = await session.run(inputs);
        const probability = outputs["output"]!.numbers()[0]!;
        if (frame % STRIDE === 0) yield { sample: { inputs }, probability };
        state = outputs["stateN"]!;
      }
    }
  } finally {
    await session.release();
  }
}

async function* frames(firstClip: number, count: number): AsyncGenerator<Sample> {
  let made = 0;
  for await (const { sample } of listen(firstClip)) {
    if (made++ === count) return;
    yield sample;
  }
}

/** One frame in which the original hears speech, one in which it does not: who always says the same agrees on half of them. */
export async function* balancedFrames(firstClip: number, count: number): AsyncGenerator<Sample> {
  const [speech, others]: [Sample[], Sample[]] = [[], []];
  let made = 0;
  for await (const { sample, probability } of listen(firstClip)) {
    (probability >= 0.5 ? speech : others).push(sample);
    if (speech.length === 0 || others.length === 0) continue;
    yield* [speech.pop()!, others.pop()!];
    made += 2;
    if (made >= count) return;
  }
}

export const calibration = (): AsyncGenerator<Sample> => frames(1, 200);
export const evaluation = (): AsyncGenerator<Sample> => frames(1001, 2000);
