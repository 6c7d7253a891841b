// The charts of a report as ECharts options: the same ones drawn to SVG when the report is made and
// live where the page has JavaScript.
//
// Invariant: functions of report.json alone, without DOM, clock or network. Every mark carries the
// record that it stands for (`rec`), which the page shows and links. Colours are Okabe and Ito's,
// and never the only sign: faults differ in shape, absences are hatched.

const STEP_COLOURS = {
  answer: "#8c8c8c", session: "#56b4e9", share: "#0072b2", aggregate: "#009e73",
  broadcast: "#e69f00", checkpoint: "#cc79a7",
};
const STEP_WORDS = {
  answer: "client answered", session: "session opened", share: "share released",
  aggregate: "signature aggregated", broadcast: "transaction sent", checkpoint: "digest reported",
};
const SIGNAL_SHAPES = {
  SIGKILL: "path://M0,2 L2,0 L5,3 L8,0 L10,2 L7,5 L10,8 L8,10 L5,7 L2,10 L0,8 L3,5 Z",
  SIGTERM: "triangle",
  SIGSTOP: "path://M0,0 H3 V10 H0 Z M6,0 H9 V10 H6 Z",
};
const OTHER_SHAPE = "diamond";
const INK = "#1a1a1a", FAINT = "#5f5f5f", GRID = "#e3e3e3", BAD = "#b3001b", CLIENTS = "clients";
const FONT = "system-ui, sans-serif";
const HATCH_PX = 7;
// Where the SVG is made nobody can measure text: a gap that is wide enough for every font.
const LEGEND = {bottom: 0, itemGap: 22, textStyle: {color: INK, fontSize: 12}};

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

function phaseMarks(data) {
  const wanted = {undisturbed: "undisturbed", disturbed: "faults begin", drain: "load ends",
                  settle: "settling"};
  const marks = [];
  for (const phase of data.phases) {
    if (wanted[phase.name] === undefined || phase.ms < 0) continue;
    // Where two would be written over each other the first one has the word.
    const close = marks.length > 0 && phase.ms - marks.at(-1).xAxis < data.duration_ms * 0.07;
    marks.push({xAxis: phase.ms, name: close ? "" : wanted[phase.name]});
  }
  return marks;
}

function timeAxis(data, index, more) {
  return {type: "value", gridIndex: index, min: 0, max: Math.ceil(data.duration_ms),
          axisLabel: {formatter: (ms) => seconds(ms), color: FAINT}, axisLine: {show: true},
          splitLine: {lineStyle: {color: GRID}}, ...more};
}

// Diagonals inside a rectangle, cut at its sides.
function diagonals({x, y, width, height}, stroke) {
  const lines = [];
  for (let at = x - height + HATCH_PX; at < x + width; at += HATCH_PX) {
    const from = Math.max(at, x), to = Math.min(at + height, x + width);
    lines.push({type: "line", silent: true, style: {stroke, lineWidth: 0.8},
                shape: {x1: from, y1: y + height - (from - at), x2: to,
                        y2: y + height - (to - at)}});
  }
  return lines;
}

// A rectangle on a lane: value is [lane, from ms, to ms, ...].
function laneRect(share, style, hatch) {
  return (params, api) => {
    const from = api.coord([api.value(1), api.value(0)]);
    const to = api.coord([api.value(2), api.value(0)]);
    const height = api.size([0, 1])[1] * share;
    const area = params.coordSys;
    const left = Math.max(from[0], area.x), right = Math.min(to[0], area.x + area.width);
    if (right < left) return undefined;
    const shape = {x: left, y: from[1] - height / 2, width: Math.max(right - left, 1.2), height};
    const rect = {type: "rect", shape, style};
    if (!hatch) return rect;
    return {type: "group", children: [rect, ...diagonals(shape, hatch)]};
  };
}

function laneNames(data) {
  return [CLIENTS, ...data.lanes.map((lane) => lane.process)];
}

function stepSeries(data, names) {
  const width = data.duration_ms / data.slices;
  return Object.keys(STEP_COLOURS).map((step) => ({
    type: "custom", name: STEP_WORDS[step], itemStyle: {color: STEP_COLOURS[step]},
    renderItem: laneRect(0.62, {fill: STEP_COLOURS[step]}), encode: {x: [1, 2], y: 0},
    data: data.lanes.flatMap((lane) => lane.slices
        .filter((slice) => slice[1] === step)
        .map(([number, , records, line, hash]) => ({
          value: [names.indexOf(lane.process), number * width, (number + 1) * width],
          rec: `events.ndjson:${line}`, hash,
          text: `${lane.process}: ${STEP_WORDS[step]}, ${records} records from ${
              seconds(number * width)}`,
        }))),
  }));
}

function awaySeries(data, names) {
  return {
    type: "custom", name: "away", encode: {x: [1, 2], y: 0}, itemStyle: {color: "#e8b5bd"},
    renderItem: laneRect(0.9, {fill: "rgba(179, 0, 27, 0.1)", stroke: "#c8707e", lineWidth: 0.6},
                         "rgba(179, 0, 27, 0.4)"),
    data: data.lanes.flatMap((lane) => lane.away.map(([from, to, why, line]) => ({
      value: [names.indexOf(lane.process), from, to], rec: `events.ndjson:${line}`,
      text: `${lane.process} away from ${seconds(from)} to ${seconds(to)} (${why})`,
    }))),
  };
}

function unknownSeries(data) {
  return {
    type: "custom", name: "outcome unknown to the client", encode: {x: [1, 2], y: 0},
    itemStyle: {color: "#d9b45e"},
    renderItem: laneRect(0.7, {fill: "rgba(230, 159, 0, 0.25)", stroke: "#9a6a00", lineWidth: 0.6},
                         "#7a5200"),
    data: data.indeterminate.rows.map((row) => ({
      value: [0, row.ms, row.resolved_ms ?? data.duration_ms], rec: row.record,
      text: `key ${row.key}: unknown from ${seconds(row.ms)}, ${
          row.resolved_ms === null ? "to the end" : `resolved at ${seconds(row.resolved_ms)}`}`,
    })),
  };
}

function faultSeries(data, names) {
  return {
    type: "scatter", name: "fault", symbolSize: 11, z: 5,
    itemStyle: {color: BAD, borderColor: "#ffffff", borderWidth: 1},
    data: data.faults.filter((fault) => fault.fired && fault.sent_ms !== null).map((fault) => ({
      value: [fault.sent_ms, names.indexOf(fault.victim)],
      symbol: SIGNAL_SHAPES[fault.signal] ?? OTHER_SHAPE, fault: fault.id, rec: fault.record,
      text: `fault ${fault.id}: ${fault.signal} ${fault.victim} at ${fault.point}, ${
          seconds(fault.sent_ms)}${fault.proven ? "" : ", NOT PROVEN"}`,
    })),
  };
}

// Whoever is ready at t stays so until the next change.
function quorumSteps(data) {
  const inside = data.quorum.filter(([ms]) => ms <= data.duration_ms);
  const last = inside.at(-1);
  return last === undefined ? [] : [...inside, [data.duration_ms, last[1]]];
}

function quorumSeries(data) {
  const {threshold, signers} = data.plan.cluster;
  const steps = quorumSteps(data), lost = [];
  for (let i = 0; i + 1 < steps.length; ++i) {
    if (steps[i][1] < threshold)
      lost.push([{xAxis: steps[i][0], itemStyle: {color: "rgba(179, 0, 27, 0.18)"}},
                 {xAxis: steps[i + 1][0]}]);
  }
  return {
    type: "line", name: "signers ready", step: "end", xAxisIndex: 1, yAxisIndex: 1,
    symbol: "none", data: steps, lineStyle: {color: "#0072b2", width: 1.5},
    areaStyle: {color: "rgba(0, 114, 178, 0.15)"}, markArea: {silent: true, data: lost},
    markLine: {symbol: "none", silent: true, lineStyle: {color: BAD, type: "dashed"},
               label: {formatter: `threshold ${threshold} of ${signers}`, color: BAD,
                       position: "insideEndTop"},
               data: [{yAxis: threshold}]},
  };
}

function timeline(data, size) {
  const names = laneNames(data);
  const marks = {symbol: "none", silent: true, lineStyle: {color: INK, type: "dotted"},
                 label: {formatter: "{b}", color: INK, fontSize: 11, position: "start"},
                 data: phaseMarks(data)};
  const faults = faultSeries(data, names);
  faults.markLine = marks;
  const band = 84, bottom = 86;
  return {
    animation: false, textStyle: {fontFamily: FONT},
    legend: {...LEGEND, itemWidth: 14, itemHeight: 9},
    tooltip: {trigger: "item", confine: true,
              formatter: (mark) => mark.data?.text === undefined ? "" :
                  `${mark.data.text}<br>${mark.data.rec} ${mark.data.hash ?? ""}`},
    grid: [{left: 104, right: 28, top: 26, height: size.height - band - bottom - 68},
           {left: 104, right: 28, bottom: bottom + 8, height: band - 24}],
    xAxis: [timeAxis(data, 0, {position: "bottom"}), timeAxis(data, 1, {})],
    yAxis: [{type: "category", data: names, inverse: true, axisTick: {show: false},
             axisLabel: {color: INK}, splitLine: {show: true, lineStyle: {color: GRID}}},
            {type: "value", gridIndex: 1, min: 0, max: data.plan.cluster.signers, interval: 1,
             name: "signers ready", nameLocation: "middle", nameGap: 30,
             nameTextStyle: {color: INK}, axisLabel: {color: FAINT, hideOverlap: true},
             splitLine: {show: false}}],
    dataZoom: [{type: "inside", xAxisIndex: [0, 1], filterMode: "none"}],
    series: [awaySeries(data, names), ...stepSeries(data, names), unknownSeries(data), faults,
             quorumSeries(data)],
  };
}

const PHASE_WORDS = {before: "before the first fault", during: "under faults",
                     after: "after the last fault"};
const PHASE_LINES = {before: ["#0072b2", "solid"], during: ["#b3001b", "solid"],
                     after: ["#5f5f5f", "dashed"]};

// How many of the payments were signed within so many milliseconds.
function distribution(data) {
  const phases = Object.keys(PHASE_WORDS).filter((phase) => data.latency.curves[phase]);
  return {
    animation: false, textStyle: {fontFamily: FONT}, legend: LEGEND,
    tooltip: {trigger: "item", formatter: (mark) =>
        `${(mark.value[1] * 100).toFixed(1)} % within ${mark.value[0].toFixed(1)} ms`},
    grid: {left: 62, right: 28, top: 20, bottom: 74},
    xAxis: {type: "log", name: "request to signature, ms (log)", nameLocation: "middle",
            nameGap: 28, nameTextStyle: {color: INK}, axisLabel: {color: FAINT},
            splitLine: {lineStyle: {color: GRID}}},
    yAxis: {type: "value", min: 0, max: 1,
            axisLabel: {formatter: (share) => `${Math.round(share * 100)} %`, color: FAINT},
            splitLine: {lineStyle: {color: GRID}}},
    series: phases.map((phase) => ({
      type: "line", step: "end", symbol: "circle", symbolSize: 3, showSymbol: false,
      name: `${PHASE_WORDS[phase]} (n ${data.latency.curves[phase].n})`,
      itemStyle: {color: PHASE_LINES[phase][0]},
      lineStyle: {color: PHASE_LINES[phase][0], type: PHASE_LINES[phase][1], width: 2},
      data: data.latency.curves[phase].points.map(([ms, share]) => [Math.max(ms, 0.01), share]),
    })),
  };
}

// Payments a second, and how long they took, on the run's own time.
function pace(data) {
  const rows = data.latency.seconds;
  const at = (index) => rows.map((row) => [row[0] * 1000 + 500, Math.max(row[index], 0.01)]);
  const line = (name, index, colour, type) =>
      ({type: "line", name, xAxisIndex: 0, yAxisIndex: 0, symbol: "circle", symbolSize: 4,
        itemStyle: {color: colour}, lineStyle: {color: colour, type, width: 1.5}, data: at(index)});
  const faults = data.faults.filter((fault) => fault.fired && fault.sent_ms !== null)
      .map((fault) => ({xAxis: fault.sent_ms}));
  const p99 = line("p99, ms", 3, "#b3001b", "solid");
  p99.markLine = {symbol: "none", silent: true, label: {show: false},
                  lineStyle: {color: "rgba(179, 0, 27, 0.35)", type: "solid", width: 1},
                  data: faults};
  return {
    animation: false, textStyle: {fontFamily: FONT}, legend: LEGEND,
    tooltip: {trigger: "axis"},
    grid: [{left: 62, right: 28, top: 34, height: "48%"},
           {left: 62, right: 28, bottom: 62, height: "18%"}],
    xAxis: [timeAxis(data, 0, {axisLabel: {show: false}}), timeAxis(data, 1, {})],
    yAxis: [{type: "log", gridIndex: 0, name: "ms (log)", axisLabel: {color: FAINT},
             nameTextStyle: {color: INK}, splitLine: {lineStyle: {color: GRID}}},
            {type: "value", gridIndex: 1, axisLabel: {color: FAINT, hideOverlap: true},
             splitLine: {show: false}}],
    series: [line("p50, ms", 2, "#0072b2", "solid"), p99,
             {type: "bar", name: "payments a second", xAxisIndex: 1, yAxisIndex: 1,
              itemStyle: {color: "#56b4e9"}, barMaxWidth: 12,
              data: rows.map((row) => [row[0] * 1000 + 500, row[1]])}],
  };
}

// ---- a matrix of another run: a box a cell, in the column of its blow and the row of its place ----

const CELL_LOOKS = {
  "exercised": {fill: "#009e73"}, "unreachable": {fill: "#ffffff", hatch: "#5f5f5f"},
  "unproven": {fill: "#f4c95d", hatch: "#7a4b00"}, "failed": {fill: "#9b0018"},
  "not-run": {fill: "#d5d5d5"},
};
const CELL_GAP = 0.12;  // of a column of blows, between two of them

// Where a cell's box is within its column: as many slots as the fullest row has there.
function matrixBoxes({cells, blows, rows}) {
  const taken = new Map(), slots = blows.map(() => 1);
  const boxes = cells.map((cell) => {
    const place = `${cell[0]} ${cell[1]}`, slot = taken.get(place) ?? 0;
    taken.set(place, slot + 1);
    slots[cell[1]] = Math.max(slots[cell[1]], slot + 1);
    return {cell, slot};
  });
  return boxes.map(({cell, slot}) => {
    const width = (1 - CELL_GAP) / slots[cell[1]], from = cell[1] + CELL_GAP / 2 + slot * width;
    return {cell, value: [rows.length - 1 - cell[0], from, from + width]};
  });
}

function matrixSeries(matrix, boxes, status, index) {
  const {fill, hatch} = CELL_LOOKS[status];
  const name = (cell) => `${matrix.rows[cell[0]]}/${matrix.blows[cell[1]]}/${matrix.columns[cell[2]]}`;
  return {
    type: "custom", name: `${status} (${matrix.counts[status]})`, encode: {x: [1, 2], y: 0},
    itemStyle: {color: hatch ?? fill},
    renderItem: laneRect(0.8, {fill, stroke: hatch ?? "#ffffff", lineWidth: 0.6}, hatch),
    data: boxes.filter(({cell}) => cell[3] === index).map(({cell, value}) => ({
      value, rec: name(cell),
      text: `${status}${cell[4] < 0 ? "" : `: ${matrix.reasons[cell[4]]}`}`,
    })),
  };
}

function heat(data, size) {
  const {matrix} = data.attached;
  const boxes = matrixBoxes(matrix);
  const words = matrix.blows;
  const axis = {type: "value", min: 0, max: words.length, interval: 1, splitLine: {show: false},
                axisTick: {show: false}, axisLabel: {show: false}};
  return {
    animation: false, textStyle: {fontFamily: FONT}, legend: {...LEGEND, itemWidth: 14, itemHeight: 9},
    tooltip: {trigger: "item", confine: true, formatter: (mark) =>
        mark.data?.text === undefined ? "" : `${mark.data.rec}<br>${mark.data.text}`},
    grid: {left: 300, right: 20, top: 30, bottom: 40},
    xAxis: [axis, {type: "category", data: words, position: "top", axisTick: {show: false},
                   axisLine: {show: false}, axisLabel: {color: INK, interval: 0}}],
    yAxis: {type: "category", data: [...matrix.rows].reverse(), axisTick: {show: false},
            axisLabel: {color: INK, fontSize: 11, interval: 0}},
    series: [...matrix.statuses.map((status, index) => matrixSeries(matrix, boxes, status, index))
                 .filter((series) => series.data.length > 0),
             {type: "scatter", xAxisIndex: 1, data: []}],
  };
}

const charts = {
  matrix: {option: heat, height: (data) => 76 + 16 * data.attached.matrix.rows.length},
  timeline: {option: timeline, height: (data) => 234 + 26 * laneNames(data).length},
  distribution: {option: distribution, height: () => 340},
  pace: {option: pace, height: () => 380},
};

export {charts};
