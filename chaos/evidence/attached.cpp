// Reading what a report cites: see attached.h.
#include "chaos/evidence/attached.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/base/bytes.h"
#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 5> kCellStatuses{"exercised", "unreachable", "unproven", "failed",
                                                   "not-run"};
constexpr std::array<const char*, 2> kMatrixKinds{"live", "simulated"};
constexpr std::array<const char*, 3> kVerdicts{"pass", "fail", "inconclusive"};

// What is wrong, with its place in the file.
struct Misfit {
  std::string what;
};

template <typename Words>
std::string one_of(const Json& value, const Words& words, const std::string& where) {
  const std::string given = value.is_string() ? value.get<std::string>() : value.dump();
  if (std::find(words.begin(), words.end(), given) == words.end())
    throw Misfit{where + ": '" + given + "' is not a word that may stand there"};
  return given;
}

enum class Kind { Text, Count, Figure, Flag, List, Object };

bool is_kind(const Json& value, Kind kind) {
  switch (kind) {
    case Kind::Text: return value.is_string();
    case Kind::Count: return value.is_number_unsigned();
    case Kind::Figure: return value.is_number() || value.is_null();
    case Kind::Flag: return value.is_boolean();
    case Kind::List: return value.is_array();
    case Kind::Object: return value.is_object();
  }
  return false;
}
const char* kind_name(Kind kind) {
  constexpr std::array<const char*, 6> kNames{"a text", "a whole number", "a number or null",
                                              "true or false", "a list", "an object"};
  return kNames.at(static_cast<std::size_t>(kind));
}

const Json& field(const Json& object, const char* name, Kind kind, const std::string& where) {
  const std::string place = where.empty() ? name : where + "." + name;
  const auto found = object.find(name);
  if (!object.is_object() || found == object.end()) throw Misfit{place + ": missing"};
  if (!is_kind(*found, kind)) throw Misfit{place + ": not " + kind_name(kind)};
  return *found;
}

std::string at(const char* list, std::size_t i) {
  return std::string(list) + "[" + std::to_string(i) + "]";
}

// Those of `names` that are there, as they are.
Json copied(const Json& from, const std::vector<const char*>& names) {
  Json out = Json::object();
  for (const char* name : names) {
    if (from.contains(name)) out[name] = from.at(name);
  }
  return out;
}

void check_format(const Json& read, const char* format) {
  if (field(read, "format", Kind::Text, "") != format ||
      field(read, "version", Kind::Count, "") != 1)
    throw Misfit{std::string("format: not '") + format + "' of version 1"};
}

// ---- matrix.json ----

std::size_t index_of(std::vector<std::string>& list, const std::string& value) {
  const auto found = std::find(list.begin(), list.end(), value);
  if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
  list.push_back(value);
  return list.size() - 1;
}

// A total of the file against its own rows.
void check_total(const std::string& what, std::uint64_t told, std::uint64_t counted) {
  if (told != counted)
    throw Misfit{what + ": " + std::to_string(told) + ", and `list` has " +
                 std::to_string(counted)};
}

void check_totals(const Json& read, const Json& counts) {
  check_total("cells", field(read, "cells", Kind::Count, "").get<std::uint64_t>(),
              read.at("list").size());
  for (const char* name : {"exercised", "failed", "not_run"}) {
    const std::string status = name == std::string("not_run") ? "not-run" : name;
    check_total(name, field(read, name, Kind::Count, "").get<std::uint64_t>(),
                counts.at(status).get<std::uint64_t>());
  }
  for (const char* name : {"unreachable", "unproven"})
    check_total(name, field(read, name, Kind::List, "").size(),
                counts.at(name).get<std::uint64_t>());
}

// Cells as [point, blow, victims and occurrence, status, reason or -1], each a place in a list.
Json matrix_of(const Json& read) {
  check_format(read, "roulette-matrix");
  std::vector<std::string> points, blows, columns, reasons;
  std::set<std::string> seen;
  Json cells = Json::array(), counts = Json::object();
  for (const char* status : kCellStatuses) counts[status] = 0;
  const Json& list = field(read, "list", Kind::List, "");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = at("list", i);
    const auto text = [&](const char* name) {
      return field(list[i], name, Kind::Text, where).get<std::string>();
    };
    const std::string status = one_of(Json(text("status")), kCellStatuses, where + ".status");
    if (!seen.insert(text("cell")).second) throw Misfit{where + ".cell: a second " + text("cell")};
    counts[status] = counts[status].get<std::uint64_t>() + 1;
    const bool silent = status == "exercised";
    cells.push_back({index_of(points, text("point")), index_of(blows, text("blow")),
                     index_of(columns, text("victims") + "/" + text("occurrence")),
                     std::find(kCellStatuses.begin(), kCellStatuses.end(), status) -
                         kCellStatuses.begin(),
                     silent ? Json(-1) : Json(index_of(reasons, text("reason")))});
  }
  check_totals(read, counts);
  Json out = copied(read, {"scheme", "points", "took_s", "lives"});
  out["kind"] = one_of(field(read, "kind", Kind::Text, ""), kMatrixKinds, "kind");
  out["seed"] = field(read, "seed", Kind::Count, "");
  out["counts"] = std::move(counts);
  out["statuses"] = kCellStatuses;
  out["rows"] = points;
  out["blows"] = blows;
  out["columns"] = columns;
  out["reasons"] = reasons;
  out["cells"] = std::move(cells);
  return out;
}

// ---- mutants.json ----

// A hunt in the simulator says `found_by`, one on real processes `cell` and `failed`.
Json mutant_row(const Json& read, const std::string& where) {
  Json row{{"name", field(read, "mutant", Kind::Text, where)},
           {"control", field(read, "control", Kind::Flag, where)},
           {"judged", field(read, "judged", Kind::Text, where)},
           {"must_fail", field(read, "must_fail", Kind::Text, where)}};
  Json found = Json::array();
  if (read.contains("found_by")) {
    row.update(copied(read, {"wrong", "exposed_by", "scheme", "schedules", "faults"}));
    for (const Json& id : field(read, "found_by", Kind::List, where)) found.push_back(id);
  } else {
    row["scheme"] = "real processes, " + field(read, "cell", Kind::Text, where).get<std::string>();
    const Json failed = read.value("failed", Json::array());  // none where the run broke
    for (const Json& one : failed)
      found.push_back(field(one, "id", Kind::Text, where + ".failed"));
  }
  row["found_by"] = std::move(found);
  return row;
}

Json mutants_of(const Json& read) {
  const Json& list = field(read, "mutants", Kind::List, "");
  Json rows = Json::array();
  bool as_expected = !list.empty();
  for (std::size_t i = 0; i < list.size(); ++i) {
    rows.push_back(mutant_row(list[i], at("mutants", i)));
    const std::string judged = rows.back()["judged"];
    // A cluster that never started found its bug without an invariant, and says what broke.
    const bool named = !rows.back()["found_by"].empty();
    as_expected = as_expected && (rows.back()["control"]
                                      ? judged == "green" && !named
                                      : judged == "found" && (named || list[i].contains("broke")));
  }
  // An interrupted hunt may be no pass though every row is good.
  const bool pass = field(read, "pass", Kind::Flag, "");
  if (pass && !as_expected)
    throw Misfit{"pass: true, and `mutants` is empty or has rows that are not"};
  return {{"pass", pass}, {"rows", std::move(rows)}};
}

// ---- compare.json ----

Json scheme_row(const Json& read, const std::string& where) {
  Json row = Json::object();
  for (const char* name : {"scheme", "name", "shape", "sentence"})
    row[name] = field(read, name, Kind::Text, where);
  for (const char* name : {"settled", "failed", "late", "refused", "availability",
                           "longest_stall_ms", "cpu_us_per_signature"})
    row[name] = field(read, name, Kind::Figure, where);
  for (const char* name : {"p50_ms", "p99_ms"}) {
    for (const char* phase : {"undisturbed", "disturbed"})
      row[name][phase] = field(field(read, name, Kind::Object, where), phase, Kind::Figure,
                               where + "." + name);
  }
  row["verdicts"] = Json::array();
  const Json& repeats = field(read, "repeats", Kind::List, where);
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    const std::string place = where + "." + at("repeats", i);
    row["verdicts"].push_back(
        one_of(field(repeats[i], "verdict", Kind::Text, place), kVerdicts, place + ".verdict"));
  }
  return row;
}

Json compare_of(const Json& read) {
  check_format(read, "roulette-compare");
  Json out = Json::object();
  for (const char* name : {"title", "experiment", "schedule_hash", "reference"})
    out[name] = field(read, name, Kind::Text, "");
  out["verdict"] = one_of(field(read, "verdict", Kind::Text, ""), kVerdicts, "verdict");
  out["seed"] = field(read, "seed", Kind::Count, "");
  out["late_ms"] = field(read, "late_ms", Kind::Count, "");
  out["schemes"] = Json::array();
  const Json& schemes = field(read, "schemes", Kind::List, "");
  for (std::size_t i = 0; i < schemes.size(); ++i)
    out["schemes"].push_back(scheme_row(schemes[i], at("schemes", i)));
  if (out["verdict"] == "pass" && out["schemes"].empty())
    throw Misfit{"verdict: pass, and `schemes` is empty"};
  for (const Json& row : out["schemes"]) {
    if (out["verdict"] == "pass" && row["verdicts"].empty())
      throw Misfit{"verdict: pass, and " + row["name"].get<std::string>() + " never ran"};
    for (const Json& one : row["verdicts"]) {
      if (out["verdict"] == "pass" && one != "pass")
        throw Misfit{"verdict: pass, and a repeat of " + row["name"].get<std::string>() + " is " +
                     one.get<std::string>()};
    }
  }
  out["not_run"] = Json::array();
  const Json& left = field(read, "not_run", Kind::List, "");
  for (std::size_t i = 0; i < left.size(); ++i)
    out["not_run"].push_back({{"name", field(left[i], "name", Kind::Text, at("not_run", i))},
                              {"why", field(left[i], "why", Kind::Text, at("not_run", i))}});
  return out;
}

// ---- all three ----

struct Source {
  const char* file;
  const char* remedy;
  std::string_view AttachedTexts::*text;
  Json (*shown)(const Json&);
};
constexpr std::array<Source, 3> kSources{
    {{kMatrixFile, "give the matrix.json that `roulette matrix` wrote", &AttachedTexts::matrix,
      matrix_of},
     {kMutantsFile, "give what `tools/mutants --json` printed", &AttachedTexts::mutants,
      mutants_of},
     {kCompareFile, "give the compare.json that `roulette compare` wrote",
      &AttachedTexts::compare, compare_of}}};

Json shown_of(const Source& source, std::string_view text) {
  const Json read = Json::parse(text, nullptr, false);
  if (!read.is_object()) throw Misfit{"not a JSON object"};
  Json out{{"file", source.file}, {"sha256", to_hex(crypto::sha256(as_bytes(text)))}};
  out.update(source.shown(read));
  return out;
}

}  // namespace

Status check_attached(const AttachedTexts& texts) {
  for (const Source& source : kSources) {
    const std::string_view text = texts.*source.text;
    if (text.empty()) continue;
    try {
      (void)shown_of(source, text);
    } catch (const Misfit& misfit) {
      return Error{ErrorKind::Corrupt, std::string(source.file) + ": " + misfit.what + " (" +
                                           source.remedy + ")"};
    }
  }
  return {};
}

Json attached_json(const AttachedTexts& texts) {
  Json out = Json::object();
  for (const Source& source : kSources) {
    const std::string_view text = texts.*source.text;
    const std::string name = std::string(source.file).substr(std::string("attached/").size());
    out[name.substr(0, name.find('.'))] = text.empty() ? Json(nullptr) : shown_of(source, text);
  }
  return out;
}

}  // namespace roulette::evidence
