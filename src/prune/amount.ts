/**
 * @file How much is pruned: a share of what is left, or a number of units.
 * Source: torch.nn.utils.prune, _validate_pruning_amount and _compute_nparams_toprune.
 */
import { OptionError } from "../util/errors.ts";

/**
 * A share from 0 to 1, or a number of units (weights, rows, blocks). JavaScript has one type of number where Python has
 * two: PyTorch's `amount=1.0` is `1` here, its `amount=1` is `{ count: 1 }`.
 */
export type Amount = number | { readonly count: number };

/**
 * How many of `available` units an amount takes: shares are rounded as Python rounds, halves to the even number.
 * @throws OptionError for a share outside 0 … 1, a count that is none, or more units than there are.
 */
export function unitsOf(amount: Amount, available: number, subject: string): number {
  if (typeof amount === "number") {
    if (amount >= 0 && amount <= 1) return roundHalfEven(amount * available);
    throw refusal(subject, `a share from 0 to 1`, String(amount), "For a number of units write { count }.");
  }
  const { count } = amount;
  if (!Number.isInteger(count) || count < 0) throw refusal(subject, "a whole number from 0 on", String(count));
  if (count > available) throw refusal(subject, `at most the ${available} units that are left`, String(count));
  return count;
}

/** For messages, and for what a model remembers. */
export function amountText(amount: Amount): string {
  return typeof amount === "number" ? String(amount) : `${amount.count} units`;
}

function refusal(subject: string, expected: string, got: string, help?: string): OptionError {
  return new OptionError({ area: "prune", subject, problem: `expected ${expected} as amount, got ${got}`, help });
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
