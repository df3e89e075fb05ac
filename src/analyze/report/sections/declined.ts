/**
 * @file What was left in float and why, and what was tried and not taken.
 */
import type { LeftAlone } from "../../../step/step.ts";
import { formatCount } from "../../../util/format.ts";
import { groupReasons } from "../../reasons.ts";
import { type Html, html, name } from "../html.ts";
import { type Section, table } from "../page.ts";

export function declinedSection(
  changes: readonly string[],
  leftAlone: readonly LeftAlone[],
  alternatives?: Html,
): Section | undefined {
  if (changes.length === 0 && leftAlone.length === 0 && alternatives === undefined) return undefined;
  return {
    id: "declined",
    title: "What was done and what was declined",
    body: html`${changes.length > 0 && html`<ul>${changes.map((change) => html`<li>${change}</li>`)}</ul>`}${leftAlone.length > 0 && declined(leftAlone)}${alternatives}`,
  };
}

function declined(leftAlone: readonly LeftAlone[]): Html {
  return html`<h3>Left in float</h3>
${table(
  "Left in float, by operator and reason",
  [{ title: "operator" }, { title: "count", kind: "number" }, { title: "reason", kind: "wide" }],
  groupReasons(leftAlone).map(({ opType, count, subject, reason }) => [
    opType ?? "value",
    formatCount(count),
    subject === undefined ? reason : html`${name(subject)}: ${reason}`,
  ]),
)}<details><summary>Each of the ${formatCount(leftAlone.length)}</summary>${table(
    "Left in float, one by one",
    [{ title: "node or value", kind: "wide" }, { title: "operator" }, { title: "reason", kind: "wide" }],
    leftAlone.map(({ subject, opType, reason }) => [name(subject), opType ?? "", reason]),
    100,
  )}</details>`;
}
