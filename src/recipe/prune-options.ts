/**
 * @file The options of `tersor prune`: those of the step prune and, with pattern channel, those of channel pruning.
 */
import { z } from "zod";
import { channelOptions } from "../prune/channels/options.ts";
import { SCOPES } from "../prune/criteria/criterion.ts";
import { CRITERION_NAMES } from "../prune/criteria/list.ts";
import { PATTERN_FORMS } from "../prune/pattern.ts";
import { parseAmount, pruneOptions } from "../prune/prune.ts";
import { OptionError } from "../util/errors.ts";

export const CHANNEL = "channel";

const {
  criterion: channelCriteria,
  scope: _scope,
  amounts: _amounts,
  protect: _protect,
  ...own
} = channelOptions.shape;
const CRITERIA = [...new Set<string>([...CRITERION_NAMES, ...channelCriteria.unwrap().options])];

/** What is not given has the default of the pattern's own options. */
export const pruneFileOptions = z.strictObject({
  ...own,
  ...pruneOptions.shape,
  amount: pruneOptions.shape.amount.describe(
    "share that goes, of what is left: of weights, rows, blocks, or of what --of says (default for channels: 0.3); n:m says it itself",
  ),
  pattern: z
    .string()
    .default("unstructured")
    .describe(`what goes together: ${PATTERN_FORMS}; or channel: whole channels leave the file, which gets faster`),
  criterion: z.enum(CRITERIA).default("l1").describe("what decides: the lowest go (default for channels: l2)"),
  scope: z
    .enum(SCOPES)
    .optional()
    .describe("what is ranked together: all, each layer, each row (default: the criterion's own)"),
});

/** What belongs to channels only, and what has no meaning for them. */
const CHANNEL_ONLY: readonly string[] = Object.keys(own).filter((key) => key !== "amount");
const MASKS_ONLY: readonly string[] = ["parameters", "include", "ops", "minElements", "permanent"];

export type PrunePlan =
  | { readonly kind: "masks"; readonly options: Readonly<Record<string, unknown>> }
  | { readonly kind: "channels"; readonly options: z.input<typeof channelOptions> };

/**
 * The step's options among those that are given.
 * @throws OptionError for one that does not go with the pattern.
 */
export function planPrune(given: Readonly<Record<string, unknown>>): PrunePlan {
  const channels = given["pattern"] === CHANNEL;
  const wrong = Object.keys(given).find((key) => (channels ? MASKS_ONLY : CHANNEL_ONLY).includes(key));
  if (wrong !== undefined) {
    throw new OptionError({
      area: "prune",
      subject: `option ${wrong}`,
      problem: `expected an option of ${channels ? "pattern channel" : "masks"}, got one of ${channels ? "masks" : "pattern channel"}`,
      help: channels ? "Channels are chosen with --exclude and --amounts." : "Add --pattern channel, or leave it out.",
    });
  }
  if (!channels) return { kind: "masks", options: given };
  const { pattern: _pattern, scope, amounts = [], exclude = [], ...rest } = given;
  const shares = (amounts as readonly string[]).map(parseAmount);
  const options = {
    ...rest,
    ...(scope !== undefined && { scope: scope === "global" ? ("global" as const) : ("group" as const) }),
    ...(shares.length > 0 && { amounts: Object.fromEntries(shares) }),
    ...((exclude as readonly string[]).length > 0 && { protect: [...(exclude as readonly string[])] }),
  };
  return { kind: "channels", options };
}
