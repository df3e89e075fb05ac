import { buildModel } from "./src/nn/build-model.ts";
import { lenet5 } from "./src/nn/models/lenet.ts";
import { createNodeRuntime } from "./src/runtime/onnxruntime-node.ts";
import { createState } from "./src/runtime/stateful.ts";
import { Tensor } from "./src/tensor/tensor.ts";
import { buildTraining, TRAINING_SESSION } from "./src/train/build.ts";
import { createRandom } from "./src/util/random.ts";
import { bytesOf } from "./test/helpers.ts";
import * as lenet from "./src/nn/models/lenet.ts";
console.log(Object.keys(lenet));
const runtime = await createNodeRuntime();
const model = buildModel((lenet as any).lenet5(), { input: { name: "x", dims: ["N", 1, 28, 28] }, output: "logits" });
const random = createRandom(1);
const batch = () => { const y = Array.from({length: 32}, () => random.integer(10));
  const x = new Float32Array(32*784); y.forEach((c, i) => { for (let j=0;j<784;j++) x[i*784+j] = random.normal()*0.3 + ((j*7)%10===c?1:0); });
  return { x: Tensor.float32([32,1,28,28], x), label: Tensor.int64([32], y) }; };
for (const optimizer of [{kind:"sgd", momentum: .9}, {kind:"adam"}, {kind:"adamw"}, {kind: "rmsprop", centered: true, momentum: 0.5}] as const) {
const t0 = performance.now();
const program = await buildTraining(model, { losses: [{ kind: "cross-entropy" }], optimizer, clipNorm: 5, ema: 0.99, accumulate: true }, { runtime, feeds: batch() });
console.log(performance.now()-t0, "ms to build", program.memory, program.notes, program.state.length, [...program.step.graph.nodes()].length);
const store = await createState(runtime, program.state);
const step = await store.load({ bytes: bytesOf(program.step) }, TRAINING_SESSION);
const acc = await store.load({ bytes: bytesOf(program.accumulate!) }, TRAINING_SESSION);
const evaluate = await store.load({ bytes: bytesOf(program.evaluate) }, TRAINING_SESSION);
for (let i = 0; i < 40; i++) {
  const t = performance.now();
  await acc.step(batch());
  const r = await step.step({ ...batch(), "train/learning-rate": Tensor.scalar("float32", optimizer.kind==="sgd"?0.01:0.001), "train/gradient-scale": Tensor.scalar("float32", 0.5) });
  if (i % 8 === 0) console.log(i, Object.fromEntries(Object.entries(r).map(([k, v]) => [k, v.numbers()[0]])), performance.now() - t);
}
const e = await evaluate.step(batch());
console.log(Object.fromEntries(Object.entries(e).map(([k, v]) => [k, v.numbers().slice(0,2)])), (await store.get("train/updates")).numbers());
}
