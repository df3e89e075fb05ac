/** @file Tests of html.ts: what comes from outside never becomes HTML. */
import { describe, expect, it } from "vitest";
import { escapeText, html, name, raw } from "./html.ts";

describe("html", () => {
  it("escapes text and attributes, and leaves HTML as it is", () => {
    const hostile = `<script>alert("1")</script> & 'x'`;
    const escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;";
    expect(html`<p title="${hostile}">${hostile}${raw("<br />")}</p>`.toString()).toBe(
      `<p title="${escaped}">${escaped}<br /></p>`,
    );
  });

  it("escapes once, however deep", () => {
    expect(html`${[html`<b>${"&"}</b>`, ["<", 1, undefined, false]]}`.toString()).toBe("<b>&amp;</b>&lt;1");
  });

  it("takes nothing for HTML that only looks like it", () => {
    const imposter = { toString: () => "<b>" } as unknown as string;
    expect(() => html`${imposter}`.toString()).toThrow();
  });

  it("marks characters that HTML has not or that turn text around, and keeps all others", () => {
    expect(escapeText("a\u202egnp.exe\u2066")).toBe("a\ufffdgnp.exe\ufffd");
    expect(escapeText("a\u0000b\u001b[31m\u009fc\ud800d\uffff")).toBe("a\ufffdb\ufffd[31m\ufffdc\ufffdd\ufffd");
    expect(escapeText("tab\tline\nä 中 😀 שם")).toBe("tab\tline\nä 中 😀 שם");
  });

  it("sets names apart, so that their direction stays in them", () => {
    expect(name("שם.onnx").toString()).toBe("<code><bdi>שם.onnx</bdi></code>");
  });
});
