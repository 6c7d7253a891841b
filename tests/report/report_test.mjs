// A report in a real browser: no error, no request, complete without JavaScript, accessible, quick.
// `node report_test.mjs REPORT.html SCREENSHOT-FOLDER`: exit 0 when all holds; each line says what.
//
// Invariant: judges what the browser shows, not the page's source; screenshots are left for people.
import {mkdirSync, readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {resolve} from "node:path";
import {pathToFileURL} from "node:url";

import {chromium} from "playwright-core";

const OPENS_WITHIN_MS = 3000;
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const [page_file, folder] = process.argv.slice(2).map((path) => resolve(path));
const url = pathToFileURL(page_file).href;
mkdirSync(folder, {recursive: true});

let failed = 0;
function check(what, holds, detail = "") {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${holds || detail === "" ? "" : `: ${detail}`}`);
  if (!holds) ++failed;
}

async function open(browser, options) {
  const context = await browser.newContext({viewport: {width: 1200, height: 1000}, ...options});
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => request.url() !== url && problems.push(request.url()));
  const began = performance.now();
  await page.goto(url, {waitUntil: "load"});
  return {page, problems, took: performance.now() - began};
}

async function live(browser) {
  const {page, problems, took} = await open(browser, {});
  check("no error and no request", problems.length === 0, problems.join("; "));
  check(`opens within ${OPENS_WITHIN_MS} ms (${took.toFixed(0)} ms)`, took <= OPENS_WITHIN_MS);
  const figures = page.locator("figure[data-chart]");
  for (let i = 0; i < await figures.count(); ++i) {
    const name = await figures.nth(i).getAttribute("data-chart");
    const marks = await figures.nth(i).locator("svg path").count();
    check(`chart ${name} is drawn (${marks} marks)`, marks > 5);
    await figures.nth(i).screenshot({path: `${folder}/${name}.png`});
  }
  const dead = await page.evaluate(() => [...document.querySelectorAll('a[href^="#"]')]
      .map((link) => link.getAttribute("href").slice(1))
      .filter((id) => document.getElementById(id) === null));
  check("every link leads somewhere", dead.length === 0, dead.join(" "));
  await page.addScriptTag({content: readFileSync(
      createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")});
  const {violations} = await page.evaluate(() => window.axe.run());
  const grave = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  check("axe finds nothing serious", grave.length === 0, grave.map((one) =>
      `${one.id} (${one.nodes.length}: ${one.nodes[0].target})`).join("; "));
  await page.evaluate(() => window.scrollTo(0, 0));  // axe scrolls
  await page.screenshot({path: `${folder}/first-page.png`});
  await page.screenshot({path: `${folder}/whole.png`, fullPage: true});
  await page.pdf({path: `${folder}/report.pdf`, format: "A4"});
}

async function without_scripts(browser) {
  const {page, problems} = await open(browser, {javaScriptEnabled: false});
  check("without JavaScript: no error", problems.length === 0, problems.join("; "));
  const charts = page.locator("figure[data-chart] svg");
  check("without JavaScript: every chart is there",
        await charts.count() === await page.locator("figure[data-chart]").count() &&
            await charts.count() > 0);
  for (const words of ["What is not claimed", "Fault log", "Control mapping", "How to reproduce"])
    check(`without JavaScript: "${words}" can be read`,
          await page.getByText(words).first().isVisible());
  await page.screenshot({path: `${folder}/without-scripts.png`, fullPage: true});
}

let browser;
for (const executablePath of BROWSERS) {
  browser ??= await chromium.launch({executablePath, args: ["--no-sandbox"]})
      .catch(() => undefined);
}
if (browser === undefined) {
  console.error("no Chromium: apt-get install chromium");
  process.exit(2);
}
await live(browser);
await without_scripts(browser);
await browser.close();
process.exit(failed === 0 ? 0 : 1);
