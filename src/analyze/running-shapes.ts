/**
 * @file Shapes of generated inputs that a loaded model runs with: guesses are tried, best first.
 */
import { candidateFeeds, type GenerateOptions } from "../data/generate.ts";
import type { Session } from "../runtime/runtime.ts";
import { runtimeMessage } from "./runtime-message.ts";

export type RunningShapes =
  | { readonly shapes: Readonly<Record<string, readonly number[]>> }
  /** Why there are none, and what to do: half a sentence and a whole one. */
  | { readonly problem: string; readonly help: string };

/** @throws OptionError for shapes that do not fit the inputs; UnsupportedError for inputs that are no tensors. */
export async function findRunningShapes(session: Session, options: GenerateOptions): Promise<RunningShapes> {
  let first: string | undefined;
  let tried = 0;
  for (const { inputs, shapes } of candidateFeeds(session.inputs, options)) {
    try {
      await session.run(inputs);
      return { shapes };
    } catch (error) {
      const list = Object.entries(shapes).map(([name, dims]) => `${name} [${dims.join(", ")}]`);
      first ??= `${list.join(", ")}: ${runtimeMessage(error)}`;
      tried++;
    }
  }
  const guessed =
    tried > 1 ? `with none of ${tried} guesses at the shapes of its inputs; the first was ${first}` : `with ${first}`;
  return {
    problem: `it does not run ${guessed}`,
    help: `Give its real shapes with --shape ${session.inputs[0]?.name ?? "NAME"}=1,3,224,224, or samples with --data.`,
  };
}
