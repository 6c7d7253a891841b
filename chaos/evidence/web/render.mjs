// One HTML page of a run's report.json: `node render.mjs REPORT.json OUT.html`.
//
// Invariant: the page says what report.json says and nothing more: every figure is read from it,
// and it stands whole in the page. Text and charts are complete without JavaScript; the page asks
// no network. What a run does not show is said before what it does.
import {readFileSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";

import * as echarts from "echarts";

import {charts} from "./charts.js";
import {page} from "./page.js";

const WIDTH = 1060;

function svgOf(name, data) {
  const height = charts[name].height(data);
  const chart = echarts.init(null, null, {renderer: "svg", ssr: true, width: WIDTH, height});
  chart.setOption(charts[name].option(data, {width: WIDTH, height}));
  const svg = chart.renderToSVGString();
  chart.dispose();
  // Scales with the page; the figure's caption says what it shows.
  return svg.replace(/^<svg width="\d+" height="\d+"/, "<svg");
}

function scripts() {
  const read = (path) => readFileSync(path, "utf8");
  const library = read(createRequire(import.meta.url).resolve("echarts/dist/echarts.min.js"));
  const here = (name) => read(new URL(name, import.meta.url));
  const own = here("charts.js").replace(/^export \{charts\};$/m, "") + here("live.js");
  return [library, `(() => {\n${own}\n})();`]
      .map((text) => text.replaceAll("</script", "<\\/script"));
}

const [source, target] = process.argv.slice(2);
if (!source || !target) {
  console.error("usage: render.mjs REPORT.json OUT.html");
  process.exit(64);
}
const text = readFileSync(source, "utf8");
const data = JSON.parse(text);
if (data.format !== "roulette-report" || data.version !== 1) {
  console.error(`${source}: not format 'roulette-report' version 1`);
  process.exit(64);
}
writeFileSync(target, page(data, {
  svg: (name) => svgOf(name, data),
  // One line of JSON: no "<" may end the element early.
  embedded: text.trimEnd().replaceAll("<", "\\u003c"),
  scripts: scripts(),
}));
