// The page of a report, from report.json: sections in the order in which an auditor asks.
//
// Invariant: every text that comes from the run is escaped; a section without facts says so and
// names the command that makes them. Nothing is rounded into looking better than it is.

const NOT_CLAIMED = [
  "All processes, all key shares and all records were on one machine. Nothing here shows that keys " +
      "are kept apart from each other.",
  "A process's death is shown, not a power loss: a killed process leaves its writes in the page " +
      "cache. Power loss is tried in the simulator.",
  "The chain is a regtest chain; no money of anybody moved.",
  "Latencies are of this machine, which ran the load generator too.",
  "Nobody attacked the system from outside; no procedure carried out by people was tried.",
  "A kill stands before, within or after an effect of a process (a record, a message), not at every " +
      "instruction.",
];
const MEANING = {
  pass: "Every invariant that was required held, every fault that was planned was struck and proven, " +
      "and the load reached its floor.",
  fail: "At least one thing is wrong that must never be. The findings name the records.",
  inconclusive: "Something is missing that a verdict would rest on. This is not a pass.",
};
const INVARIANTS = {
  "no-duplicate-payment": "No request was paid twice on the active chain.",
  "no-lost-withdrawal": "Every acknowledged withdrawal was paid by the end.",
  "no-partial-transaction": "No payment is stuck halfway; bytes sent, kept and mined are equal.",
  "idempotency-key-respected": "The same key and payload gave the same payment everywhere.",
  "no-conflicting-signature": "Nobody signed two transactions for one coin or one withdrawal.",
  "share-has-its-record": "No share left a signer without its record in the journal.",
  "nonce-never-reused": "No nonce was used for two sessions.",
  "signing-policy-respected": "Nothing was signed with a wrong change, fee or amount.",
  "quorum-continuity": "While a quorum was up, payments were signed in time.",
  "safe-refusal": "Without a quorum new requests were refused, and nothing was signed.",
  "orderly-stop-finishes": "Who was told to stop finished its work and ended.",
  "ledger-replicas-agree": "All replicas of the books hold the same.",
  "books-balance": "Postings sum to zero, and the wallet is what the chain says.",
  "chain-matches-ledger": "Every payment on the chain is in the books, and the reverse.",
  "limits-respected": "Every queue and counter stayed within its bound.",
};
const STATUS_SIGNS = {"pass": "✔", "fail": "✖", "inconclusive": "?", "not-exercised": "–"};

const CSS = `
:root { --ink: #1a1a1a; --faint: #595959; --rule: #d5d5d5; --pass: #00603f; --fail: #9b0018;
        --open: #7a4b00; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 1100px; margin: 0 auto; padding: 0 20px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.2rem 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
a { color: #00509e; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: #fff; padding: 8px; z-index: 9; }
.verdict { display: flex; gap: 1.2rem; align-items: baseline; border-left: 8px solid var(--colour);
           background: #f6f6f6; padding: .9rem 1.1rem; margin: 1rem 0; }
.verdict strong { font-size: 1.5rem; color: var(--colour); white-space: nowrap; }
.verdict p { margin: 0; }
.pass { --colour: var(--pass); } .fail { --colour: var(--fail); } .open { --colour: var(--open); }
td.pass, td.fail, td.open { color: var(--colour); font-weight: 600; white-space: nowrap; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 0 2rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; margin: 1rem 0; padding: 0; list-style: none; }
.facts li { border: 1px solid var(--rule); padding: .5rem .7rem; }
.facts b { display: block; font-size: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; margin: .6rem 0; }
caption { text-align: left; color: var(--faint); padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid var(--rule); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr:target td { background: #fff3cd; }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } .chart svg { width: 100%; height: auto; display: block; }
figcaption, .note { color: var(--faint); font-size: .88rem; }
nav ol { columns: 3 220px; padding-left: 1.2rem; font-size: .9rem; }
@media print {
  @page { size: A4; margin: 14mm; }
  body { font-size: 10pt; } nav, .skip { display: none; } main, header, footer { max-width: none; padding: 0; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } a { color: inherit; text-decoration: none; }
  .wide { overflow: visible; } #verdict-page { break-after: page; }
}`;

const escape = (value) => String(value ?? "").replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const code = (value) => value === "" || value == null ? "" : `<code>${escape(value)}</code>`;
const list = (items) => items.length === 0 ? "" :
    `<ul>${items.map((item) => `<li>${escape(item)}</li>`).join("")}</ul>`;
const figures = (value, digits = 1) => value == null ? "–" : Number(value).toFixed(digits);
const whole = (value) => Number(value).toLocaleString("en-US");
const inSeconds = (ms) => ms == null ? "–" : (ms / 1000).toFixed(3);
const tone = (status) => status === "pass" ? "pass" : status === "fail" ? "fail" : "open";

// Cells are HTML already; columns whose heading begins with "#" are figures.
function table(caption, heads, rows, ids = []) {
  if (rows.length === 0) return `<p class="note">${escape(caption)}: none.</p>`;
  const numeric = heads.map((head) => head.startsWith("#"));
  const head = heads.map((text, i) => `<th scope="col"${numeric[i] ? ' class="number"' : ""}>${
      escape(text.replace(/^#/, ""))}</th>`).join("");
  const body = rows.map((cells, r) => `<tr${ids[r] ? ` id="${escape(ids[r])}"` : ""}>${
      cells.map((cell, i) => typeof cell === "object" ?
          `<td class="${cell.tone}">${cell.html}</td>` :
          `<td${numeric[i] ? ' class="number"' : ""}>${cell}</td>`).join("")}</tr>`).join("\n");
  return `<div class="wide" tabindex="0" role="region" aria-label="${escape(caption)}"><table>` +
      `<caption>${escape(caption)}</caption><thead><tr>${head}</tr></thead><tbody>\n${body}\n` +
      "</tbody></table></div>";
}

function chart(name, tools, label, caption) {
  return `<figure data-chart="${name}"><div class="chart" role="img" aria-label="${escape(label)}">` +
      `${tools.svg(name)}</div><figcaption>${escape(caption)}</figcaption></figure>`;
}

// ---- sections: [id, title, html] ----

function utc(seconds) {
  return new Date(seconds * 1000).toISOString().replace(".000Z", " UTC").replace("T", " ");
}

function shape(cluster) {
  return `${cluster.threshold} of ${cluster.signers} signers (${cluster.scheme}), ${
      cluster.coordinators} coordinators, ${cluster.ledgers} ledger replicas on ${
      cluster.log === "etcd" ? `${cluster.etcd} etcd members` : "one file"}, one Bitcoin node`;
}

function byStatus(data, status) {
  return data.verdict.invariants.filter((one) => one.status === status);
}

// For somebody who knows neither the tool nor its words.
function summary(data) {
  const {load, faults} = data.verdict, {cluster} = data.plan;
  const signing = cluster.threshold > 1 ?
      `a payment needs ${cluster.threshold} of ${cluster.signers} signers, and none of them holds the key` :
      `a payment needs one of ${cluster.signers} signers`;
  return `A system that pays out bitcoin (${signing}; ${shape(cluster)}) was asked for ${
      whole(load.requested)} withdrawals while its processes were killed, stopped or paused on purpose: ${
      whole(faults.proven)} of ${whole(faults.requested)} planned faults were struck and proven. ${
      whole(load.settled)} withdrawals were settled on the (test) chain.`;
}

// What a reader fears first, from the two rules that judge it.
function money(data) {
  const status = (id) => data.verdict.invariants.find((one) => one.id === id)?.status;
  const told = {pass: "no", fail: "YES", inconclusive: "cannot be said"};
  const word = (id) => told[status(id)] ?? "was not tried";
  return `Paid twice: ${word("no-duplicate-payment")}. Acknowledged and lost: ${
      word("no-lost-withdrawal")}.`;
}

// The rule in words, before its name.
function ruled(one, text) {
  return `${INVARIANTS[one.id] ?? ""} (${one.id}) ${text}`.trim();
}

// Of each victim the last fault counts: who was never ready again after it stayed away to the end.
function stayedAway(data) {
  const last = new Map();
  for (const fault of data.faults.filter((one) => one.fired).sort((a, b) => a.sent_ms - b.sent_ms))
    last.set(fault.victim, fault);
  return [...last.values()].filter((fault) => fault.ready_ms === null)
      .map((fault) => `${fault.victim} (${fault.signal}, recovery: ${fault.recover})`);
}

function verdictPage(data) {
  const {verdict} = data;
  const failed = byStatus(data, "fail"), open = [...byStatus(data, "inconclusive"),
                                                 ...byStatus(data, "not-exercised")];
  const held = byStatus(data, "pass");
  const unexercised = byStatus(data, "not-exercised");
  const word = verdict.verdict;
  return `<div class="verdict ${tone(word)}"><strong>${STATUS_SIGNS[word]} ${escape(word)}</strong>` +
      `<p>${escape(MEANING[word])}</p></div>` +
      `<p>${escape(summary(data))}</p><p><b>${escape(money(data))}</b></p>` +
      (verdict.reasons.length === 0 ? "" : `<h3>Why ${escape(word)}</h3>${list(verdict.reasons)}`) +
      `<ul class="facts"><li><b>${whole(verdict.load.settled)}</b>withdrawals settled</li>` +
      `<li><b>${verdict.faults.proven} / ${verdict.faults.requested}</b>faults proven / planned</li>` +
      `<li><b>${held.length} / ${verdict.invariants.length - unexercised.length}</b>rules (invariants) held / exercised</li>` +
      `<li><b>${figures(verdict.availability * 100, 2)} %</b>of new requests answered within 1 s, repeats under their key counted</li>` +
      `<li><b>${whole(data.indeterminate.total)}</b>requests whose outcome a client did not see at first</li></ul>` +
      (stayedAway(data).length === 0 ? "" : `<p><b>Never ready again after its last fault: ${
          escape(stayedAway(data).join(", "))}.</b> What the quorum did without it is what was judged.</p>`) +
      '<div class="columns"><section><h3>What held</h3>' +
      `${list(held.map((one) => INVARIANTS[one.id] ?? one.id))}</section><section>` +
      `<h3>What did not hold</h3>${failed.length === 0 ? "<p>Nothing that was judged failed.</p>" :
          `<ul>${failed.map((one) => `<li>Broken: ${escape(INVARIANTS[one.id] ?? "")} <a href="#invariant-${
              escape(one.id)}">${escape(one.id)}</a>, first finding: ${
              escape(one.violations[0])}</li>`).join("")}</ul>`}` +
      (open.length === 0 ? "" : "<h3>What was not shown</h3>" +
          list(open.map((one) => ruled(one, `${one.status}: ${one.note}`)))) +
      `</section><section><h3>What is not claimed</h3>${list(NOT_CLAIMED)}</section></div>`;
}

function hypothesis(data) {
  const rows = data.plan.hypothesis.map((probe) => [
    escape(probe.name), code(probe.metric), figures(probe.least), figures(probe.most),
    figures(data.steady_state[probe.metric] ?? data.steady_state[probe.name], 2)]);
  const {workload, floor} = data.plan;
  return `<p>${escape(data.plan.description)}</p>` +
      table("Steady state: what had to hold, and what was measured",
            ["probe", "metric", "#least", "#most", "#measured"], rows) +
      `<p>Load: ${workload.clients} clients in a closed loop and ${workload.rate_per_s} requests a ` +
      `second at a fixed rate, for ${workload.duration_s} s, the first ${workload.undisturbed_s} s ` +
      `undisturbed; ${figures(workload.duplicate_share * 100, 0)} % of the requests were sent twice ` +
      `at once, ${figures(workload.conflict_share * 100, 0)} % were followed by another payload ` +
      "under the same key. " +
      `Floor below which the run would be inconclusive: ${floor.settled} settled, ${floor.kills} ` +
      `kills, ${floor.points} different places.</p>`;
}

function system(data) {
  const {environment} = data;
  const programs = Object.entries(environment?.programs ?? {}).map(([name, program]) =>
      [escape(name), escape(program.version), code(program.sha256)]);
  return `<p>${escape(shape(data.plan.cluster))}. ${escape(environment?.kernel)}, ${
      escape(environment?.cores)} cores; a synchronous write of the disk took ${
      escape(environment?.fdatasync_p50_us)} µs (median).</p>` +
      table("Programs, as they ran", ["program", "version", "SHA-256"], programs) +
      `<h3>What this does not prove</h3>${list(NOT_CLAIMED)}`;
}

function preflight(data) {
  const {journal} = data;
  return "<p>A run starts only when binaries, ports, folder, etcd and node are there; otherwise it " +
      "ends without a verdict. This one " +
      (journal?.interrupted ? `was interrupted: ${escape(journal.interruption)}.` :
                              "started and ran to its end.") + "</p>" +
      `${(journal?.problems ?? []).length === 0 ? "<p>Every step of its end was done.</p>" :
          `<p>Steps of its end that failed:</p>${list(journal.problems)}`}` +
      `${(journal?.unasked_exits ?? []).length === 0 ?
          "<p>No process ended that the tool had not asked to.</p>" :
          `<p>Processes that ended unasked:</p>${list(journal.unasked_exits)}`}`;
}

function scenario(data) {
  const rows = Object.entries(data.verdict.faults.by_point)
      .map(([point, count]) => [code(point), escape(count)]);
  return table("Where this run's faults struck", ["place", "#faults"], rows);
}

// ---- what is attached: results of other runs ----

// Said before the first figure of each.
function provenance(attached, ofWhat) {
  return "<p class=\"note\"><b>Not of this run.</b> " + ofWhat + ` The file ${code(attached.file)} was ` +
      `given when this report was made (SHA-256 ${code(attached.sha256)}). The bundle's hashes and the ` +
      "operator's signature cover it, and <code>verify</code> checks that the figures in this page's data are " +
      "its; its results are <b>not derived again</b>: their own records are not in this bundle.</p>";
}

function elsewhere(what, commands) {
  return `<p>${escape(what)} None is attached to this report: ${
      commands.map(code).join(", then ")} makes it and shows it here.</p>`;
}

const CELL_SIGNS = {"exercised": "✔", "unreachable": "–", "unproven": "?", "failed": "✖",
                    "not-run": "–"};

// Of each place and blow: how many cells, by status, the worst first.
function matrixTable(matrix) {
  const counts = matrix.rows.map(() => matrix.blows.map(() => ({})));
  for (const [row, blow, , status] of matrix.cells) {
    const word = matrix.statuses[status];
    counts[row][blow][word] = (counts[row][blow][word] ?? 0) + 1;
  }
  const worst = ["failed", "unproven", "not-run", "unreachable", "exercised"];
  const cell = (of) => {
    const found = worst.filter((word) => of[word] > 0);
    if (found.length === 0) return "";
    return {tone: found[0] === "failed" ? "fail" : found[0] === "exercised" ? "pass" : "open",
            html: found.map((word) => `${CELL_SIGNS[word]} ${of[word]}${
                word === "exercised" ? "" : ` ${escape(word)}`}`).join("<br>")};
  };
  return table("Cells of the matrix by place and blow (✔: struck and every invariant held)",
               ["place", ...matrix.blows],
               matrix.rows.map((row, r) => [code(row), ...counts[r].map(cell)]));
}

function matrixReasons(matrix) {
  const rows = new Map();
  for (const [row, blow, column, status, reason] of matrix.cells) {
    if (reason < 0) continue;
    const word = matrix.statuses[status], key = `${word} ${reason}`;
    if (!rows.has(key)) rows.set(key, {word, why: matrix.reasons[reason], cells: []});
    rows.get(key).cells.push(`${matrix.rows[row]}/${matrix.blows[blow]}/${matrix.columns[column]}`);
  }
  return table("Cells that were not exercised, each with its reason", ["status", "reason", "#cells", "which"],
               [...rows.values()].map(({word, why, cells}) =>
                   [escape(word), escape(why), String(cells.length), escape(cells.join(", "))]));
}

function matrixSection(data, tools) {
  const {matrix} = data.attached;
  if (matrix === null)
    return elsewhere("Every place at which a process can be struck, in every way.",
                     ["roulette matrix --live --out M", "roulette report RUN --matrix M/matrix.json"]);
  const {counts} = matrix;
  const where = matrix.kind === "simulated" ? "the simulator, in virtual time (whoever has the source can " +
      "make it again with the same seed)" : "real processes";
  return provenance(matrix, `A matrix of ${escape(where)}, seed ${escape(matrix.seed)}.`) +
      `<p>${matrix.cells.length} cells: ${counts.exercised} exercised, ${counts.failed} failed, ${
          counts.unproven} unproven, ${counts.unreachable} unreachable, ${counts["not-run"]} not run.</p>` +
      chart("matrix", tools, `Heat map of ${matrix.cells.length} cells: ${matrix.rows.length} places by ${
                matrix.blows.length} blows; the table below has the same`,
            "A box is one cell: this place struck by this blow, of these victims, at this pass. Green: " +
            "struck, and every invariant held. Red: one was violated. Hatched: unreachable (grey) or " +
            "unproven (yellow); the reasons stand below.") +
      matrixTable(matrix) + matrixReasons(matrix);
}

function comparisonSection(data) {
  const {compare} = data.attached;
  if (compare === null)
    return elsewhere("The same load and blows for a single key, an HSM, MuSig2 and FROST.",
                     ["roulette compare chaos/experiments/compare-signer-kill.yaml --out C",
                      "roulette report RUN --compare C/compare.json"]);
  const rows = compare.schemes.map((one) => [
    `${escape(one.name)}<br>${escape(one.shape)}`, figures(one.settled, 0), figures(one.failed, 0),
    figures(one.late, 0), one.availability === null ? "–" : `${figures(one.availability * 100)} %`,
    figures(one.longest_stall_ms, 0), figures(one.p50_ms.disturbed), figures(one.p99_ms.disturbed),
    figures(one.cpu_us_per_signature, 0), escape(one.verdicts.join(", "))]);
  return provenance(compare, `A comparison: ${escape(compare.title)} (${code(compare.experiment)}, seed ${
      escape(compare.seed)}), ${escape(compare.verdict)}.`) +
      table(`The same load and faults for each way of signing; late: signed more than ${
                compare.late_ms} ms after the client's intention`,
            ["signing", "#settled", "#failed", "#late", "#answered within 1 s", "#longest stall ms",
             "#p50 ms under faults", "#p99 ms under faults", "#CPU µs a signature", "verdicts"], rows) +
      list(compare.schemes.map((one) => one.sentence).filter((text) => text !== "")) +
      (compare.not_run.length === 0 ? "" :
          `<p>Not run:</p>${list(compare.not_run.map((one) => `${one.name}: ${one.why}`))}`);
}

function mutantsSection(data) {
  const {mutants} = data.attached;
  if (mutants === null)
    return elsewhere("Bugs are planted on purpose, and each must be found by the invariant that it " +
        "breaks.", ["tools/mutants --json > mutants.json", "roulette report RUN --mutants mutants.json"]);
  const rows = mutants.rows.map((one) => [
    `${code(one.name)}${one.control ? " (control: no bug, nothing may be found)" : ""}<br>${
        escape(one.wrong)}`,
    escape(one.scheme), escape(one.must_fail || "nothing"), escape(one.found_by.join(", ") || "nothing"),
    escape(one.schedules ?? "–"), escape(one.judged)]);
  const bugs = mutants.rows.filter((one) => !one.control).length;
  return provenance(mutants, `A hunt for ${bugs} planted bugs with ${
      mutants.rows.length - bugs} controls: ${mutants.pass ? "every one was judged as it must be" :
                                                            "NOT every one was judged as it must be"}.`) +
      table("Planted bugs: which invariant had to find each, and which did",
            ["planted bug", "in", "must be found by", "found by", "#schedules tried", "judged"], rows);
}

// Where a reader should look first.
function firstTrouble(data) {
  const failed = byStatus(data, "fail")[0];
  if (failed) return `<p><a href="#invariant-${escape(failed.id)}">To the first violation</a></p>`;
  const fault = data.faults.find((one) => !one.proven);
  return fault ? `<p><a href="#fault-${fault.id}">To the first fault without proof</a></p>` : "";
}

function timeline(data, tools) {
  return chart("timeline", tools,
               `Timeline of ${data.lanes.length} processes over ${figures(data.duration_ms / 1000)} ` +
               `seconds with ${data.faults.length} faults; the fault log below lists each`,
               "One lane a process on the run's own time. Colour: the latest protocol step in each " +
               "slice. Cross, triangle, bars: SIGKILL, SIGTERM, pause, at the moment of the signal. " +
               "Hatched red: the process was away; hatched orange: a client did not know the outcome. " +
               "Below: signers ready against the threshold. Live: scroll to zoom, click a fault.") +
      firstTrouble(data) +
      table("Phases", ["phase", "#begins at s"],
            data.phases.map((phase) => [escape(phase.name), inSeconds(phase.ms)]));
}

function faultLog(data) {
  const rows = data.faults.map((fault) => [
    String(fault.id), `${escape(fault.victim)}<br>${escape(fault.signal)}`,
    `${code(fault.point)}${fault.occurrence > 1 ? ` (pass ${fault.occurrence})` : ""}`,
    inSeconds(fault.sent_ms), inSeconds(fault.ready_ms),
    {tone: fault.proven ? "pass" : fault.fired ? "fail" : "open",
     html: fault.proven ? "✔ proven" : `${fault.fired ? "✖ not proven" : "– not fired"}: ${
         escape(fault.why_not)}`},
    `${code(fault.record)}${fault.moments.map((moment) => `<br>${escape(moment.moment)} ${
        code(moment.record)} ${code(moment.hash.slice(0, 16))}`).join("")}`]);
  return "<p>A SIGKILL is proven by the kernel's word: the signal was sent through the process's own " +
      "descriptor and its end names signal 9. A SIGTERM by the announced, clean end; a pause by the " +
      "kernel's stop and continue. Hashes are leaves of the Merkle root in " +
      "<code>chains.json</code>.</p>" +
      table("Faults, each with its records", ["#fault", "victim, signal", "place", "#struck at s",
                                               "#ready again s", "proof", "records"], rows,
            data.faults.map((fault) => `fault-${fault.id}`));
}

function invariants(data) {
  const rows = data.verdict.invariants.map((one) => [
    `${code(one.id)}<br>${escape(INVARIANTS[one.id] ?? "")}`,
    {tone: tone(one.status), html: `${STATUS_SIGNS[one.status]} ${escape(one.status)}`},
    escape(one.checked), `${list(one.violations)}${escape(one.note)}`]);
  return table("Invariants: how many comparisons each rests on, and what was found",
               ["invariant", "status", "#compared", "findings"], rows,
               data.verdict.invariants.map((one) => `invariant-${one.id}`));
}

function latency(data, tools) {
  const row = (what, when, q) => [escape(what), escape(when), escape(q.n), figures(q.p50),
                                  figures(q.p95), figures(q.p99), figures(q.max)];
  const rows = Object.entries(data.verdict.latency_ms).flatMap(([what, phases]) =>
      Object.entries(phases).map(([when, q]) => row(what, when, q)));
  const recovery = Object.entries(data.verdict.recovery_ms).map(([role, q]) =>
      [escape(role), escape(q.n), figures(q.p50), figures(q.p99), figures(q.max)]);
  const words = {before: "before the first fault", during: "under faults",
                 after: "after the last fault was over"};
  const phases = Object.keys(words).map((phase) => {
    const q = data.latency.phases[phase];
    return q ? [words[phase], escape(q.n), figures(q.p50), figures(q.p99), figures(q.max),
                figures(q.signed_within_1_s * 100, 1)] :
               [words[phase], "0", "–", "–", "–", "–"];
  });
  return chart("distribution", tools, "Share of payments signed within so many milliseconds, by phase",
               "From a client's intended start to the ledger holding the signature. Counted from the " +
               "intention, so a stall counts for everybody who waited.") +
      chart("pace", tools, "Latency quantiles and payments for each second of the run",
            "By the second of the intended start; red lines are faults.") +
      table("Request to signature, ms, and who was signed within 1 s: before, during and after " +
            "(who never came back is still away then). Of fewer than 100 payments the 99th percentile is the slowest one.",
            ["phase", "#payments signed", "#p50", "#p99", "#max", "#% within 1 s"], phases) +
      table("Latency, ms", ["what", "phase", "#n", "#p50", "#p95", "#p99", "#max"], rows) +
      table("Recovery, ms: signal to ready again, restart delay included",
            ["role", "#n", "#p50", "#p99", "#max"], recovery);
}

function indeterminate(data) {
  const {rows, total} = data.indeterminate;
  const shown = rows.map((row) => [
    code(row.key), inSeconds(row.ms), escape(row.status ?? "no answer"), inSeconds(row.resolved_ms),
    escape(row.resolved_by), `${escape(row.state)} ${code(row.txid)}`,
    `${code(row.record)} ${code(row.resolved_record)}`]);
  return `<p>${total} requests ended without an answer that tells the outcome (none came, or a 5xx; what could ` +
      "not even be sent is among them). Each was asked again under its key; none may be paid twice, and that is judged from the chain." +
      `${total > rows.length ? ` The first ${rows.length} are listed; <code>operations.csv</code> has every request.` : ""}</p>` +
      table("Operations of unknown outcome, and how each was resolved",
            ["key", "#asked at s", "told", "#resolved at s", "by", "as", "records"], shown);
}

function findings(data) {
  const rows = [
    ...byStatus(data, "fail").map((one) => ["critical", one.id, one.violations[0] ?? ""]),
    ...data.verdict.reasons.filter((reason) => !byStatus(data, "fail")
        .some((one) => reason.startsWith(one.id))).map((reason) => ["high", "run", reason]),
    ...byStatus(data, "inconclusive").map((one) => ["medium", one.id, one.note]),
    ...byStatus(data, "not-exercised").map((one) => ["low", one.id, `not exercised: ${one.note}`]),
  ];
  return "<p>Made from the verdict. Owner, deadline and retest are for the organisation to fill in; " +
      "the tool knows none of them.</p>" +
      table("Findings", ["severity", "subject", "finding", "owner", "deadline", "retest"],
            rows.map((row) => [...row.map(escape), "not assigned", "not set", "not made"]));
}

function remediation(data) {
  const failed = byStatus(data, "fail");
  return failed.length === 0 ?
      "<p>No violation to mend. What was not exercised needs a run that exercises it.</p>" :
      `<p>For each violation: read the named records, replay what fired in the simulator ` +
      `(${code("roulette sim --from-run RUN")}), mend, and run this experiment again with the same ` +
      "seed.</p>";
}

function lessons(data) {
  const slow = Object.entries(data.verdict.recovery_ms).sort((a, b) => b[1].max - a[1].max)[0];
  const {withdrawal} = data.verdict.latency_ms;
  const said = [];
  if (slow) said.push(`The longest absence that ended was of a ${slow[0]}: ${figures(slow[1].max, 0)} ms, with the ` +
                      "delay that the experiment asks for.");
  if (withdrawal?.undisturbed?.n > 0 && withdrawal?.disturbed?.n > 0)
    said.push(`Faults took the 99th percentile of a withdrawal from ${
        figures(withdrawal.undisturbed.p99)} to ${figures(withdrawal.disturbed.p99)} ms.`);
  said.push(`${data.indeterminate.total} requests had to be asked again under their key: clients ` +
      "need keys that they keep before they send.");
  return list(said);
}

function controls(data) {
  const mapping = data.controls;
  const rows = mapping.entries.map((entry) => [
    escape(`${entry.framework} ${entry.reference}`), escape(entry.subject),
    escape(entry.evidence.join("; ") || "none"), escape(entry.limits),
    escape(`${entry.source}, ${entry.source_version}`), escape(entry.certainty)]);
  const certainty = Object.entries(mapping.certainty).map(([word, means]) => `${word}: ${means}`);
  return `<p>${escape(mapping.meaning)} ${escape(mapping.out_of_scope)} Version ${
      escape(mapping.version)} of ${escape(mapping.date)}.</p>` +
      table("Evidence relevant to", ["reference", "subject", "evidence", "limits", "source",
                                     "certainty"], rows) + list(certainty);
}

function verifying(data) {
  return "<p>The bundle of this run is checked without trusting who made it:</p><ul>" +
      `<li>${code(`roulette verify ${data.run}.tar --trust FINGERPRINT`)} checks every byte and ` +
      "derives the verdict again from the raw records;</li>" +
      `<li>${code(`python3 verify_bundle.py ${data.run}.tar --trust FINGERPRINT`)} checks bytes, chains, signatures, every transaction ` +
      "and the rules about money with code of its own, in one file that can be read;</li>" +
      `<li>${code("roulette run experiment.yaml")} with the seed ${code(data.verdict.seed)} draws the ` +
      `same faults (schedule ${code(data.verdict.schedule_hash)}).</li></ul>` +
      "<p>The fingerprint comes from the operator, by another way than the bundle: without it anybody " +
      "may have signed.</p><p>Every figure of this page is in <code>report.json</code>, which <code>verify</code> makes " +
      "again from the records. This page is a presentation of it: it is covered by the bundle's " +
      "hashes and signature only.</p>";
}

export function page(data, tools) {
  const sections = [
    ["hypothesis", "Hypothesis and steady state", hypothesis(data)],
    ["system", "System under test", system(data)],
    ["preflight", "Before and after", preflight(data)],
    ["scenarios", "Scenarios", scenario(data)],
    ["timeline", "Timeline", timeline(data, tools)],
    ["faults", "Fault log", faultLog(data)],
    ["invariants", "Invariants", invariants(data)],
    ["latency", "Latency and availability", latency(data, tools)],
    ["indeterminate", "Operations of unknown outcome", indeterminate(data)],
    ["matrix", "Every place, every blow: the matrix", matrixSection(data, tools)],
    ["comparison", "Single signer against threshold", comparisonSection(data)],
    ["mutants", "Would these checks notice?", mutantsSection(data)],
    ["findings", "Findings", findings(data)],
    ["remediation", "Remediation", remediation(data)],
    ["lessons", "Lessons", lessons(data)],
    ["controls", "Control mapping", controls(data)],
    ["verify", "How to reproduce and verify", verifying(data)],
  ];
  const contents = sections.map(([id, title]) => `<li><a href="#${id}">${escape(title)}</a></li>`);
  const body = sections.map(([id, title, html]) =>
      `<section aria-labelledby="${id}"><h2 id="${id}">${escape(title)}</h2>\n${html}</section>`);
  const title = `${data.verdict.verdict}: ${data.plan.title}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<style>${CSS}</style></head><body>
<a class="skip" href="#verdict-page">To the verdict</a>
<header><h1>${escape(data.plan.title)}</h1>
<p class="note">Run ${code(data.run)}, ${escape(utc(data.journal.start))} to ${
  escape(utc(data.journal.end))}, seed ${escape(data.verdict.seed)}.</p></header>
<main><div id="verdict-page">${verdictPage(data)}</div>
<nav aria-label="Contents"><h2>Contents</h2><ol>${contents.join("")}</ol></nav>
${body.join("\n")}</main>
<footer><p class="note">Made by Quorum Roulette from the run's records. No network, no trackers.</p></footer>
<script type="application/json" id="report-data">${tools.embedded}</script>
${tools.scripts.map((text) => `<script>${text}</script>`).join("\n")}
</body></html>
`;
}
