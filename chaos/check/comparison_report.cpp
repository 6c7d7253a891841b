// compare.json, its table, its CSV and its sentences: see comparison.h.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>

#include <nlohmann/json.hpp>

#include "chaos/check/comparison.h"

namespace roulette::check {
namespace {

using Json = nlohmann::ordered_json;
using Value = std::optional<double>;

// One number of one run. How repeats become one number of the variant stands beside it.
enum class Over : std::uint8_t { Sum, Mean, Median, Most };
struct Column {
  const char* name;
  Over over;
  Value (*of)(const RunFigures&);
};

Value counted(std::uint64_t n) {
  return static_cast<double>(n);
}

constexpr std::array<Column, 15> kColumns{{
    {"settled", Over::Sum, [](const RunFigures& r) { return counted(r.settled); }},
    {"failed", Over::Sum, [](const RunFigures& r) { return counted(r.failed); }},
    {"late", Over::Sum, [](const RunFigures& r) { return counted(r.late); }},
    {"refused", Over::Sum, [](const RunFigures& r) { return counted(r.refused); }},
    {"availability", Over::Mean, [](const RunFigures& r) { return Value(r.availability); }},
    {"longest_stall_ms", Over::Most, [](const RunFigures& r) { return Value(r.longest_stall_ms); }},
    {"p50_undisturbed_ms", Over::Median, [](const RunFigures& r) { return r.p50_ms.undisturbed; }},
    {"p50_disturbed_ms", Over::Median, [](const RunFigures& r) { return r.p50_ms.disturbed; }},
    {"p99_undisturbed_ms", Over::Median, [](const RunFigures& r) { return r.p99_ms.undisturbed; }},
    {"p99_disturbed_ms", Over::Median, [](const RunFigures& r) { return r.p99_ms.disturbed; }},
    {"p99_ratio", Over::Median, [](const RunFigures& r) { return r.p99_ratio(); }},
    {"messages", Over::Sum,
     [](const RunFigures& r) { return r.messages ? counted(*r.messages) : Value(); }},
    {"bytes", Over::Sum, [](const RunFigures& r) { return r.bytes ? counted(*r.bytes) : Value(); }},
    {"cpu_us_per_signature", Over::Median,
     [](const RunFigures& r) { return r.cpu_us_per_signature; }},
    {"signatures", Over::Sum, [](const RunFigures& r) { return counted(r.signatures); }},
}};

const Column& column(const std::string& name) {
  return *std::find_if(kColumns.begin(), kColumns.end(),
                       [&](const Column& c) { return name == c.name; });
}

// Of all repeats, or nothing when one of them has no value: a sum over some is no sum.
std::optional<std::vector<double>> values(const VariantFigures& variant, const Column& column) {
  std::vector<double> out;
  for (const RunFigures& run : variant.repeats) {
    const Value value = column.of(run);
    if (!value) return std::nullopt;
    out.push_back(*value);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

Value over_repeats(const VariantFigures& variant, const Column& column) {
  const auto all = values(variant, column);
  if (!all) return std::nullopt;
  double sum = 0;
  for (const double value : *all) sum += value;
  switch (column.over) {
    case Over::Sum: return sum;
    case Over::Mean: return sum / static_cast<double>(all->size());
    case Over::Median: return median(*all);
    case Over::Most: return *std::max_element(all->begin(), all->end());
  }
  return std::nullopt;
}

Value over_repeats(const VariantFigures& variant, const char* name) {
  return over_repeats(variant, column(name));
}

std::optional<Interval95> interval_of(const VariantFigures& variant, const char* name) {
  const auto all = values(variant, column(name));
  return all ? interval95(*all) : std::nullopt;
}

std::string text(double value, int digits) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%.*f", digits, value);
  return out.data();
}
std::string text(const Value& value, int digits) {
  return value ? text(*value, digits) : "-";
}

Json json_of(const Value& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json whole(const Value& value) {
  return value ? Json(static_cast<std::uint64_t>(std::llround(*value))) : Json(nullptr);
}

Json json_of(const Interval95& i) {
  Json out{{"n", i.n}, {"mean", i.mean}};
  if (i.half_width) {
    out["low"] = i.low();
    out["high"] = i.high();
  } else {
    out["note"] = "n=1, no interval";
  }
  return out;
}

Json json_of(const std::map<std::string, Quantiles>& by_role) {
  Json out = Json::object();
  for (const auto& [role, q] : by_role)
    out[role] = {{"n", q.n}, {"p50", q.p50}, {"p99", q.p99}, {"max", q.max}};
  return out;
}

Json json_of(const std::map<std::string, BlowStall>& by_blow) {
  Json out = Json::object();
  for (const auto& [blow, stall] : by_blow)
    out[blow] = {{"ms", stall.ms}, {"to_the_end", stall.to_the_end}};
  return out;
}

Json pair_of(const Value& undisturbed, const Value& disturbed) {
  return {{"undisturbed", json_of(undisturbed)}, {"disturbed", json_of(disturbed)}};
}

Json json_of(const RunFigures& r) {
  Json out{{"folder", r.folder},
           {"verdict", verdict_name(r.verdict)},
           {"why", r.why},
           {"schedule_hash", r.schedule_hash},
           {"requested", r.requested},
           {"settled", r.settled},
           {"failed", r.failed},
           {"late", r.late},
           {"refused", r.refused},
           {"rejected", r.rejected},
           {"faults", r.faults_proven},
           {"availability", r.availability},
           {"longest_stall_ms", r.longest_stall_ms},
           {"stalled_to_the_end", r.stalled_to_the_end},
           {"stall_by_blow", json_of(r.stall_by_blow)},
           {"p50_ms", pair_of(r.p50_ms.undisturbed, r.p50_ms.disturbed)},
           {"p99_ms", pair_of(r.p99_ms.undisturbed, r.p99_ms.disturbed)},
           {"p99_ratio", json_of(r.p99_ratio())},
           {"recovery_ms", json_of(r.recovery_ms)},
           {"messages", r.messages ? Json(*r.messages) : Json(nullptr)},
           {"bytes", r.bytes ? Json(*r.bytes) : Json(nullptr)},
           {"signatures", r.signatures},
           {"cpu_us_per_signature", json_of(r.cpu_us_per_signature)}};
  if (!r.no_traffic.empty()) out["no_traffic"] = r.no_traffic;
  if (!r.no_cpu.empty()) out["no_cpu"] = r.no_cpu;
  return out;
}

// The worst of the repeats' quantiles is said; what a run measured stands with the run.
std::map<std::string, Quantiles> recoveries(const VariantFigures& variant) {
  std::map<std::string, Quantiles> out;
  for (const RunFigures& run : variant.repeats) {
    for (const auto& [role, q] : run.recovery_ms) {
      Quantiles& most = out[role];
      most.n += q.n;
      most.p50 = std::max(most.p50, q.p50);
      most.p99 = std::max(most.p99, q.p99);
      most.max = std::max(most.max, q.max);
    }
  }
  return out;
}

std::map<std::string, BlowStall> stalls_by_blow(const VariantFigures& variant) {
  std::map<std::string, BlowStall> out;
  for (const RunFigures& run : variant.repeats) {
    for (const auto& [blow, stall] : run.stall_by_blow) {
      BlowStall& most = out[blow];
      most.ms = std::max(most.ms, stall.ms);
      most.to_the_end = most.to_the_end || stall.to_the_end;
    }
  }
  return out;
}

std::string first_reason(const VariantFigures& variant, std::string RunFigures::*why) {
  for (const RunFigures& run : variant.repeats)
    if (!(run.*why).empty()) return run.*why;
  return "";
}

Json json_of(const Comparison& comparison, const VariantFigures& variant) {
  const auto value = [&](const char* name) { return over_repeats(variant, name); };
  Json out{{"scheme", variant.scheme}, {"name", variant.name}, {"shape", variant.shape}};
  for (const char* count : {"settled", "failed", "late", "refused"})
    out[count] = whole(value(count));
  out["availability"] = json_of(value("availability"));
  out["longest_stall_ms"] = json_of(value("longest_stall_ms"));
  out["stall_by_blow"] = json_of(stalls_by_blow(variant));
  out["p50_ms"] = pair_of(value("p50_undisturbed_ms"), value("p50_disturbed_ms"));
  out["p99_ms"] = pair_of(value("p99_undisturbed_ms"), value("p99_disturbed_ms"));
  out["p99_ratio"] = json_of(value("p99_ratio"));
  out["recovery_ms"] = json_of(recoveries(variant));
  out["messages"] = whole(value("messages"));
  out["bytes"] = whole(value("bytes"));
  if (const auto why = first_reason(variant, &RunFigures::no_traffic); !why.empty())
    out["no_traffic"] = why;
  out["cpu_us_per_signature"] = json_of(value("cpu_us_per_signature"));
  if (const auto why = first_reason(variant, &RunFigures::no_cpu); !why.empty())
    out["no_cpu"] = why;
  out["txids"] = Json::array();
  for (const RunFigures& run : variant.repeats) {
    for (const std::string& txid : run.txids) out["txids"].push_back(txid);
  }
  out["intervals"] = Json::object();
  for (const Column& c : kColumns) {
    const auto interval = interval_of(variant, c.name);
    out["intervals"][c.name] = interval ? json_of(*interval) : Json(nullptr);
  }
  out["notes"] = variant.notes;
  out["sentence"] = sentence_of(comparison, variant);
  out["repeats"] = Json::array();
  for (const RunFigures& run : variant.repeats) out["repeats"].push_back(json_of(run));
  return out;
}

const VariantFigures* reference_of(const Comparison& comparison) {
  for (const VariantFigures& variant : comparison.variants)
    if (variant.name == comparison.reference) return &variant;
  return nullptr;
}

bool stalled_to_the_end(const VariantFigures& variant) {
  return std::any_of(variant.repeats.begin(), variant.repeats.end(),
                     [](const RunFigures& r) { return r.stalled_to_the_end; });
}

std::uint64_t requested(const VariantFigures& variant) {
  std::uint64_t sum = 0;
  for (const RunFigures& run : variant.repeats) sum += run.requested;
  return sum;
}

// "its longest time without a signature was 812 ms": the mean of the repeats where there are some.
std::string stall_words(const VariantFigures& variant) {
  const auto interval = interval_of(variant, "longest_stall_ms");
  if (!interval) return "no stall was measured";
  std::string out = "longest time without a signature " + text(interval->mean, 0) + " ms";
  if (interval->half_width)
    out += " (95 %: " + text(std::max(0.0, interval->low()), 0) + " to " +
           text(interval->high(), 0) + ", n=" + std::to_string(interval->n) + ")";
  if (stalled_to_the_end(variant)) out += ", not over when the load ended";
  return out;
}

std::string outcome_words(const Comparison& comparison, const VariantFigures& variant) {
  const auto count = [&](const char* name) {
    return text(over_repeats(variant, name).value_or(0), 0);
  };
  std::string out = count("failed") == "0" ? "nothing" : count("failed");
  out += " of " + std::to_string(requested(variant)) + " withdrawals failed";
  if (count("late") != "0")
    out += ", " + count("late") + " were signed later than " + std::to_string(comparison.late_ms) +
           " ms";
  return out;
}

std::string latency_words(const VariantFigures& variant) {
  const Value ratio = over_repeats(variant, "p99_ratio");
  if (!ratio) return "";
  return "; p99 " + text(over_repeats(variant, "p99_undisturbed_ms"), 1) + " ms undisturbed, " +
         text(over_repeats(variant, "p99_disturbed_ms"), 1) + " ms under faults (ratio " +
         text(*ratio, 2) + ")";
}

// What the stalls say of two variants. Intervals that meet say nothing; without intervals the
// figures are those of one run, and are called so.
std::string against(const VariantFigures& variant, const VariantFigures& reference) {
  const auto own = interval_of(variant, "longest_stall_ms");
  const auto other = interval_of(reference, "longest_stall_ms");
  if (!own || !other || other->mean <= 0)
    return "its stall cannot be held against " + reference.name + "'s";
  const double ratio = own->mean / other->mean;
  const std::string times = text(ratio, 1) + " times that of " + reference.name;
  if (own->half_width && other->half_width) {
    const bool apart = own->low() > other->high() || own->high() < other->low();
    if (!apart)
      return times + ", which these repeats cannot tell from chance: " + reference.name +
             " is not shown to have helped";
  } else {
    const std::string once = " (one run each, no interval)";
    return ratio > 1 ? times + once
                     : times + once + ": " + reference.name + " did not help here";
  }
  return ratio > 1 ? times : times + ": " + reference.name + " did not help here";
}

std::string padded(const std::string& cell, std::size_t width, bool left) {
  if (cell.size() >= width) return cell;
  const std::string space(width - cell.size(), ' ');
  return left ? cell + space : space + cell;
}

using Rows = std::vector<std::vector<std::string>>;

// Columns as wide as their widest cell; the first one begins at the left.
std::string aligned(const Rows& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      out += (i == 0 ? "" : "  ") + padded(row[i], widths[i], i == 0);
    out += "\n";
  }
  return out;
}

const char* worst_verdict(const VariantFigures& variant) {
  if (variant.repeats.empty()) return "-";
  VerdictKind worst = VerdictKind::Pass;
  for (const RunFigures& run : variant.repeats) {
    if (run.verdict == VerdictKind::Fail || worst == VerdictKind::Pass)
      worst = worst == VerdictKind::Fail ? worst : run.verdict;
  }
  return verdict_name(worst);
}

std::vector<std::string> row_of(const VariantFigures& v) {
  const auto value = [&](const char* name) { return over_repeats(v, name); };
  const auto each = [&](const char* name, double unit) -> Value {
    const Value all = value(name), signatures = value("signatures");
    if (!all || !signatures || *signatures == 0) return std::nullopt;
    return *all / *signatures / unit;
  };
  const Value available = value("availability");
  return {v.name,
          std::to_string(v.repeats.size()),
          worst_verdict(v),
          text(value("settled"), 0),
          text(value("failed"), 0),
          text(value("late"), 0),
          text(value("refused"), 0),
          available ? text(*available * 100, 2) : "-",
          text(value("longest_stall_ms"), 0),
          text(value("p50_undisturbed_ms"), 1),
          text(value("p50_disturbed_ms"), 1),
          text(value("p99_undisturbed_ms"), 1),
          text(value("p99_disturbed_ms"), 1),
          text(value("p99_ratio"), 2),
          text(each("messages", 1), 1),
          text(each("bytes", 1000), 2),
          text(value("cpu_us_per_signature"), 0)};
}

// One column a variant, one row a kind of blow.
Rows blow_rows(const Comparison& comparison) {
  std::map<std::string, std::vector<std::string>> cells;
  for (std::size_t i = 0; i < comparison.variants.size(); ++i) {
    for (const auto& [blow, stall] : stalls_by_blow(comparison.variants[i])) {
      auto& row = cells[blow];
      row.resize(comparison.variants.size(), "-");
      row[i] = (stall.to_the_end ? ">" : "") + text(stall.ms, 0);
    }
  }
  Rows out{{"blow"}};
  for (const VariantFigures& variant : comparison.variants) out[0].push_back(variant.name);
  for (const auto& [blow, row] : cells) {
    out.push_back({blow});
    out.back().insert(out.back().end(), row.begin(), row.end());
  }
  return out;
}

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\n") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_number(const Value& value) {
  if (!value) return "";
  return *value == std::floor(*value) ? text(*value, 0) : text(*value, 6);
}

}  // namespace

double student_t975(std::size_t degrees) {
  // Two-sided 95 %, degrees 1 to 30 (any table of the distribution); beyond, the value of 30 is on
  // the safe side.
  constexpr std::array<double, 30> kTable{
      12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
      2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
      2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (degrees == 0) return INFINITY;
  return kTable[std::min(degrees, kTable.size()) - 1];
}

std::optional<Interval95> interval95(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  Interval95 out;
  out.n = values.size();
  const auto n = static_cast<double>(out.n);
  for (const double value : values) out.mean += value / n;
  if (out.n < 2) return out;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.half_width = student_t975(out.n - 1) * std::sqrt(squares / (n - 1)) / std::sqrt(n);
  return out;
}

std::optional<double> median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  if (values.size() % 2 == 1) return values[half];
  return (values[half - 1] + values[half]) / 2;
}

std::string sentence_of(const Comparison& comparison, const VariantFigures& variant) {
  const VariantFigures* reference = reference_of(comparison);
  std::string out = variant.name + ": ";
  if (variant.repeats.empty()) return out + "no run of it ended with records.";
  out += outcome_words(comparison, variant) + "; " + stall_words(variant);
  if (reference != nullptr && reference != &variant && !reference->repeats.empty())
    out += ", " + against(variant, *reference);
  return out + latency_words(variant) + ".";
}

VerdictKind comparison_verdict(const Comparison& comparison) {
  VerdictKind out = VerdictKind::Pass;
  std::size_t runs = 0;
  for (const VariantFigures& variant : comparison.variants) {
    if (variant.repeats.empty()) out = VerdictKind::Inconclusive;
    for (const RunFigures& run : variant.repeats) {
      ++runs;
      if (run.verdict == VerdictKind::Fail) return VerdictKind::Fail;
      if (run.verdict == VerdictKind::Inconclusive) out = VerdictKind::Inconclusive;
    }
  }
  return runs == 0 ? VerdictKind::Inconclusive : out;
}

std::string comparison_json(const Comparison& comparison) {
  Json out{{"format", "roulette-compare"},
           {"version", 1},
           {"title", comparison.title},
           {"experiment", comparison.experiment},
           {"seed", comparison.seed},
           {"schedule_hash", comparison.schedule_hash},
           {"verdict", verdict_name(comparison_verdict(comparison))},
           {"reference", comparison.reference},
           {"late_ms", comparison.late_ms},
           {"machine", Json::parse(comparison.machine_json, nullptr, false)}};
  if (out["machine"].is_discarded()) out["machine"] = nullptr;
  out["schemes"] = Json::array();
  for (const VariantFigures& variant : comparison.variants)
    out["schemes"].push_back(json_of(comparison, variant));
  out["not_run"] = Json::array();
  for (const UnrunVariant& one : comparison.not_run)
    out["not_run"].push_back({{"name", one.name}, {"why", one.why}});
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string comparison_csv(const Comparison& comparison) {
  std::string out = "name,scheme,repeat,verdict,folder";
  for (const Column& c : kColumns) out += std::string(",") + c.name;
  out += "\n";
  for (const VariantFigures& variant : comparison.variants) {
    for (std::size_t i = 0; i < variant.repeats.size(); ++i) {
      const RunFigures& run = variant.repeats[i];
      out += csv_cell(variant.name) + "," + csv_cell(variant.scheme) + "," +
             std::to_string(i + 1) + "," + verdict_name(run.verdict) + "," + csv_cell(run.folder);
      for (const Column& c : kColumns) out += "," + csv_number(c.of(run));
      out += "\n";
    }
  }
  return out;
}

std::string comparison_table(const Comparison& comparison) {
  Rows rows{{"scheme", "runs", "verdict", "settled", "failed", "late", "refused", "avail %",
             "stall ms", "p50 ms", "p50 faults", "p99 ms", "p99 faults", "ratio", "msg/sig",
             "KB/sig", "cpu us/sig"}};
  for (const VariantFigures& variant : comparison.variants) rows.push_back(row_of(variant));
  std::string out = aligned(rows);
  for (const UnrunVariant& one : comparison.not_run)
    out += "not run: " + one.name + ": " + one.why + "\n";
  const Rows blows = blow_rows(comparison);
  if (blows.size() > 2)
    out += "\nlongest stall behind each blow, ms (>: not over when the load ended)\n" +
           aligned(blows);
  out += "\n";
  for (const VariantFigures& variant : comparison.variants)
    out += sentence_of(comparison, variant) + "\n";
  return out;
}

}  // namespace roulette::check
