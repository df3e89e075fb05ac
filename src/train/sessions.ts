/**
 * @file The sessions of a training: programs for batches of different dimensions, on one state.
 */
import type { WayCache } from "../autodiff/time-ways.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { createState, type StatefulSession, type StateStore } from "../runtime/stateful.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createBreath } from "../util/breathe.ts";
import type { Progress } from "../util/progress.ts";
import { createRandom, streamSeed } from "../util/random.ts";
import { STREAMS } from "./batches.ts";
import { buildEvaluation, buildTraining, TRAINING_SESSION } from "./build.ts";
import type { TrainingInput } from "./options.ts";
import type { FedTensor, TrainingProgram } from "./program.ts";
import { bucketOf } from "./programs.ts";

export type ProgramPart = "step" | "accumulate" | "evaluate" | "gradients";

export interface SessionsOptions {
  readonly model: Model;
  readonly training: TrainingInput;
  readonly runtime: Runtime;
  readonly threads: number;
  /** Programs that are kept; the one that was not used for longest is given up for another. */
  readonly most: number;
  /** Ways of gradients are timed. */
  readonly ways: WayCache | undefined;
  readonly seed: number;
  /** Whose state these work on, too. Default: they have one of their own. */
  readonly shared?: TrainingSessions | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

interface Loaded {
  /** Undefined for batches that are only evaluated. */
  readonly program: TrainingProgram | undefined;
  readonly evaluate: Model;
  readonly sessions: Map<ProgramPart, StatefulSession>;
}

/** Opens programs as batches ask for them. */
export class TrainingSessions {
  readonly #options: SessionsOptions;
  readonly #loaded = new Map<string, Loaded>();
  /** In a thread that computes itself, signals are aborted and messages read between runs. */
  readonly #breathe = createBreath();
  #state: StateStore | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** There after the first program. */
  get state(): StateStore {
    return this.#options.shared?.state ?? this.#state!;
  }

  /** The program for batches of these dimensions. */
  async program(feeds: Tensors): Promise<TrainingProgram> {
    return (await this.#open(feeds, "step")).program!;
  }

  /** Runs a part on a batch. `run`: the number of the run, by which its noise is drawn. */
  async run(part: ProgramPart, feeds: Tensors, scalars: Readonly<Record<string, number>>, run = 0): Promise<Tensors> {
    const { program, evaluate, sessions } = await this.#open(feeds, part);
    let session = sessions.get(part);
    if (session === undefined) {
      const bytes = joinChunks(encodeModel(toOnnx(part === "evaluate" ? evaluate : program![part]!)));
      session = await this.state.load({ bytes }, { ...TRAINING_SESSION, threads: this.#options.threads });
      sessions.set(part, session);
    }
    const all: Record<string, Tensor> = { ...feeds };
    for (const [name, value] of Object.entries(scalars)) all[name] = Tensor.scalar("float32", value);
    program?.random.forEach((fed, i) => {
      if (part !== "evaluate") all[fed.input] = noise(fed, streamSeed(this.#options.seed, STREAMS.noise, run, i));
    });
    await this.#breathe();
    return session.step(Object.fromEntries(session.inputs.map(({ name }) => [name, all[name]!])));
  }

  async release(): Promise<void> {
    await this.#state?.release();
  }

  async #open(feeds: Tensors, part: ProgramPart): Promise<Loaded> {
    const key = bucketOf(feeds);
    const known = this.#loaded.get(key);
    // The last used stands last.
    this.#loaded.delete(key);
    if (known !== undefined && (part === "evaluate" || known.program !== undefined)) {
      this.#loaded.set(key, known);
      return known;
    }
    const { model, training, runtime, threads, most, ways, signal, progress } = this.#options;
    const context = {
      runtime,
      feeds,
      ...(signal && { signal }),
      ...(progress && { progress }),
      ...(ways && { timeWays: { threads, cache: ways } }),
    };
    let program: TrainingProgram | undefined;
    const { shared } = this.#options;
    const hasState = shared !== undefined || this.#state !== undefined;
    // Validation has batches of its own, the last one of all above all: their gradients are never asked for.
    if (part !== "evaluate" || !hasState) program = await buildTraining(model, training, context);
    const evaluate = program?.evaluate ?? (await buildEvaluation(model, training, context));
    if (program !== undefined && shared === undefined) this.#state ??= await createState(runtime, program.state);
    const loaded: Loaded = { program, evaluate, sessions: known?.sessions ?? new Map() };
    this.#loaded.set(key, loaded);
    const [oldest] = this.#loaded;
    if (this.#loaded.size > most && oldest !== undefined) {
      this.#loaded.delete(oldest[0]);
      for (const session of oldest[1].sessions.values()) await session.release();
    }
    return loaded;
  }
}

/** Uniform in [0, 1). */
function noise({ dims }: FedTensor, seed: number): Tensor {
  const random = createRandom(seed);
  const size = dims.reduce((product, dim) => product * dim, 1);
  const values = new Float32Array(size);
  // In float32 the largest would round to 1.
  for (let i = 0; i < size; i++) values[i] = Math.min(random.next(), 0.99999994);
  return Tensor.float32(dims, values);
}
