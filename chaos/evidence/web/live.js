
// ---- in the page: the charts become live, marks lead to their records ----
const data = JSON.parse(document.getElementById("report-data").textContent);
for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const {option, height} = charts[figure.dataset.chart];
  const holder = figure.querySelector(".chart");
  const size = {width: holder.clientWidth, height: height(data)};
  holder.replaceChildren();
  holder.style.height = `${size.height}px`;
  const chart = echarts.init(holder, null, {renderer: "svg"});
  chart.setOption(option(data, size));
  chart.on("click", (mark) => {
    if (mark.data?.fault !== undefined) location.hash = `fault-${mark.data.fault}`;
  });
  window.addEventListener("resize", () => chart.resize());
  window.addEventListener("beforeprint", () => chart.resize({width: 680}));
  window.addEventListener("afterprint", () => chart.resize({width: "auto"}));
}
