/** @file What the samples say: seeded texts in five categories, each text belonging to calibration or to evaluation. */

import type { Random } from "../../src/util/random.ts";

export type Split = "calibration" | "evaluation";

export const categories = ["digits", "words", "codes", "sentences", "receipt"] as const;
export type Category = (typeof categories)[number];

const WORDS =
  `about account address after almond always amount answer apple autumn baker balance banana basket before blue board
bottle bread bridge bright broken brown butter button camera candle canvas carbon castle center cheese cherry chicken
circle clean clock coffee copper corner cotton country credit cushion dealer deliver dinner doctor dollar double dragon
early eleven empty engine evening export factory family farmer feather figure filter finger flavor flower forest frozen
garden ginger global golden grape green guest hammer handle harbor heavy honey hotel hunter import inside island jacket
journal jungle keeper kitchen ladder lemon letter level lights liquid little local lumber magnet manager maple margin
market meadow melon metal middle mirror modern morning motor mountain needle number ocean office olive onion orange
organic packet paper parcel pepper period pillow planet pocket potato powder printer product purple quality quick rabbit
radio railway record refund regular rental repair return river rocket salmon school season second shadow silver simple
single smooth spring square station stone street sugar summer supper switch table tailor ticket tomato traffic travel
turkey umbrella under upper valley vanilla velvet village violet voyage walnut water weather western window winter wonder
wooden yellow yogurt zebra`.split(/\s+/);

const ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const pick = <T>(random: Random, items: ArrayLike<T>): T => items[random.integer(items.length)]!;
const between = (random: Random, low: number, high: number): number => low + random.integer(high - low + 1);
const twoDigits = (value: number): string => String(value).padStart(2, "0");
const capital = (word: string): string => word[0]!.toUpperCase() + word.slice(1);
const price = (random: Random): string => `${random.integer(300)}.${twoDigits(random.integer(100))}`;
const word = (random: Random): string => {
  const plain = pick(random, WORDS);
  const style = random.next();
  return style < 0.5 ? plain : style < 0.85 ? capital(plain) : plain.toUpperCase();
};
const day = (random: Random): string => twoDigits(between(random, 1, 28));
const month = (random: Random): string => twoDigits(between(random, 1, 12));
const year = (random: Random): number => between(random, 1998, 2031);
const clock = (random: Random): string => `${twoDigits(random.integer(24))}:${twoDigits(random.integer(60))}`;

const SENTENCES: readonly ((random: Random) => string)[] = [
  (r) => `Please try the ${pick(r, WORDS)}.`,
  (r) => `${capital(pick(r, WORDS))} is sold out`,
  (r) => `Room ${between(r, 100, 999)} ${pick(r, WORDS)} side`,
  (r) => `Take ${between(r, 2, 40)} ${pick(r, WORDS)} now`,
  (r) => `The ${pick(r, WORDS)} opens at ${clock(r)}`,
  (r) => `No ${pick(r, WORDS)} in ${pick(r, MONTHS)} ${year(r)}`,
];

const RECEIPT: readonly ((random: Random) => string)[] = [
  (r) => `TOTAL $${price(r)}`,
  (r) => `${between(r, 2, 12)} x ${capital(pick(r, WORDS))}`,
  (r) => `${year(r)}-${month(r)}-${day(r)}`,
  (r) => `${day(r)}/${month(r)}/${year(r)} ${clock(r)}`,
  (r) => `${day(r)} ${pick(r, MONTHS)} ${year(r)}`,
  (r) => `${pick(r, ["VAT", "Tax", "TIP", "Net"])} ${between(r, 3, 25)}% -${price(r)}`,
  (r) => `${capital(pick(r, WORDS))} @${price(r)}`,
  (r) => `Order #${between(r, 1000, 99999)}`,
];

const makers: Readonly<Record<Category, (random: Random) => string>> = {
  digits: (r) => Array.from({ length: between(r, 4, 12) }, () => r.integer(10)).join(""),
  words: (r) => `${word(r)} ${word(r)}`,
  codes: (r) => Array.from({ length: between(r, 6, 10) }, () => pick(r, ALPHANUMERIC)).join(""),
  sentences: (r) => pick(r, SENTENCES)(r),
  receipt: (r) => pick(r, RECEIPT)(r),
};

/**
 * The half of all texts that `text` belongs to, whatever the seed: calibration and evaluation never share a text.
 * Source of the hash: 32-bit FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/.
 */
export function splitOf(text: string): Split {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // The lowest bit of FNV is only the parity of the characters: take a mixed one.
  return ((hash >>> 15) ^ (hash >>> 24)) & 1 ? "calibration" : "evaluation";
}

/** A text of `category` that belongs to `split`: printable ASCII, single spaces, at most 27 characters. */
export function createPhrase(random: Random, category: Category, split: Split): string {
  for (;;) {
    const text = makers[category](random);
    if (splitOf(text) === split) return text;
  }
}
