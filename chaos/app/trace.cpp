// `roulette trace RUN`: OpenTelemetry spans of withdrawals, from event logs. See commands.h.
//
// Invariant: after the fact and from records alone: nothing is measured here, and a span whose end
// no record shows ends at the last record of its part, as an error. A trace's id is the
// withdrawal's. The ledger writes no line an entry, so its appends are seen from the coordinator.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_client.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t kTracesPerPost = 50;
constexpr Duration kPostLimit = seconds(10);
constexpr int kOk = 1, kError = 2;          // OTLP's status codes
constexpr int kInternal = 1, kServer = 2;  // and its kinds of spans

struct Line {
  std::int64_t t_us = 0;
  std::string process, boot, event;
  json fields;
  [[nodiscard]] std::string text(const char* name) const {
    const auto found = fields.find(name);
    return found != fields.end() && found->is_string() ? found->get<std::string>() : "";
  }
};

struct Span {
  std::string id, parent, name, process;
  std::int64_t start_us = 0, end_us = 0;
  int kind = kInternal;
  bool ok = true;
  std::map<std::string, std::string> attributes;
};

// FNV-1a: the same records give the same ids.
std::string span_id(const std::string& text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  char out[17];
  std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash | 1));
  return out;
}

class Records {
 public:
  // A finished run's merged log, or the processes' own of one that goes on.
  [[nodiscard]] Status read(const fs::path& run) {
    if (fs::exists(run / "events.ndjson")) {
      take(run / "events.ndjson");
    } else {
      std::error_code error;
      for (const auto& folder : fs::directory_iterator(run / "work", error))
        take(folder.path() / "events.ndjson");
    }
    if (lines_.empty())
      return Error{ErrorKind::Usage, run.string() + " holds no event log of a run"};
    std::ranges::stable_sort(lines_, {}, &Line::t_us);
    for (std::size_t i = 0; i < lines_.size(); ++i) index(i);
    return {};
  }

  [[nodiscard]] const std::map<std::string, std::vector<std::size_t>>& withdrawals() const {
    return by_withdrawal_;
  }
  [[nodiscard]] const Line& line(std::size_t i) const { return lines_[i]; }
  [[nodiscard]] std::vector<std::size_t> of_session(const std::string& digest) const {
    const auto found = by_session_.find(digest);
    return found == by_session_.end() ? std::vector<std::size_t>{} : found->second;
  }
  // The request that this answer is for.
  [[nodiscard]] const Line* request_of(const Line& answer) const {
    const auto found = requests_.find(request_key(answer));
    return found == requests_.end() ? nullptr : &lines_[found->second];
  }
  [[nodiscard]] std::int64_t unix_us(std::int64_t t_us) const { return t_us + offset_us_; }

 private:
  static std::string request_key(const Line& line) {
    return line.process + line.boot + line.fields.value("request", json()).dump();
  }

  void take(const fs::path& path) {
    std::ifstream file(path);
    for (std::string text; std::getline(file, text);) {
      json fields = json::parse(text, nullptr, false);
      if (!fields.is_object() || !fields.contains("event") || !fields.contains("t_us") ||
          !fields["t_us"].is_number_integer())
        continue;  // the header, or a line that is still being written
      Line line{fields["t_us"].get<std::int64_t>(), "", "", "", std::move(fields)};
      line.process = line.text("process");
      line.boot = line.text("boot");
      line.event = line.text("event");
      if (!offset_known_ && line.fields.contains("wall_us") &&
          line.fields["wall_us"].is_number_integer()) {
        offset_us_ = line.fields["wall_us"].get<std::int64_t>() - line.t_us;
        offset_known_ = true;
      }
      lines_.push_back(std::move(line));
    }
  }

  void index(std::size_t i) {
    const Line& line = lines_[i];
    if (line.event == "request_received") requests_[request_key(line)] = i;
    const std::string session = line.text("session_digest");
    if (!session.empty()) by_session_[session].push_back(i);
    std::string withdrawal = line.text("withdrawal_id");
    if (line.event == "answered") withdrawal = line.text("id");
    if (withdrawal.size() == 32) by_withdrawal_[withdrawal].push_back(i);
  }

  std::vector<Line> lines_;
  std::map<std::string, std::vector<std::size_t>> by_withdrawal_, by_session_;
  std::map<std::string, std::size_t> requests_;
  std::int64_t offset_us_ = 0;
  bool offset_known_ = false;
};

// The spans of one withdrawal; the first is the root.
class Trace {
 public:
  Trace(const Records& records, std::string withdrawal)
      : records_(records), withdrawal_(std::move(withdrawal)) {}

  std::vector<Span> spans() {
    spans_.push_back(
        {span_id(withdrawal_), "", "withdrawal", "client", 0, 0, kInternal, false, {}});
    for (const std::size_t i : records_.withdrawals().at(withdrawal_)) lines_.push_back(i);
    for (const std::size_t i : lines_) {
      const Line& line = records_.line(i);
      if (line.event == "answered") request(line);
      if (line.event == "session_opened") session(line);
      if (line.event == "aggregated")
        until("ledger append Signed", line, "signed_applied", root().id);
      if (line.event == "broadcast") broadcast(line);
      if (line.event == "took_over") add("took over", line, line, line.process, root().id);
    }
    if (spans_.size() == 1) return {};
    root().start_us = spans_[1].start_us;
    for (const Span& span : spans_) {
      if (span.id == root().id) continue;
      root().start_us = std::min(root().start_us, span.start_us);
      root().end_us = std::max(root().end_us, span.end_us);
      root().ok = root().ok || (span.name == "broadcast" && span.ok);
    }
    return std::move(spans_);
  }

 private:
  Span& root() { return spans_.front(); }

  Span& add(const std::string& name, const Line& from, const Line& to, const std::string& process,
            const std::string& parent) {
    const std::string place = from.boot + from.fields.value("seq", json()).dump() + to.boot +
                              to.fields.value("seq", json()).dump();
    spans_.push_back({span_id(withdrawal_ + name + process + place), parent, name, process,
                      from.t_us, std::max(from.t_us, to.t_us), kInternal, true, {}});
    return spans_.back();
  }

  // The first line of this kind behind `from`, by the same life of the same process.
  [[nodiscard]] const Line* next(const Line& from, const char* event) const {
    for (const std::size_t i : lines_) {
      const Line& line = records_.line(i);
      if (line.event == event && line.process == from.process && line.boot == from.boot &&
          line.t_us >= from.t_us)
        return &line;
    }
    return nullptr;
  }

  Span& until(const std::string& name, const Line& from, const char* event,
              const std::string& parent) {
    const Line* to = next(from, event);
    Span& span = add(name, from, to != nullptr ? *to : from, from.process, parent);
    span.ok = to != nullptr;
    return span;
  }

  void request(const Line& answer) {
    const Line* asked = records_.request_of(answer);
    if (asked == nullptr || asked->text("kind") != "create") return;  // polls are no part of it
    Span& span = add("client request", *asked, answer, answer.process, root().id);
    const std::string id = span.id;
    span.kind = kServer;
    span.attributes["idempotency_key"] = asked->text("key");
    span.attributes["http.response.status_code"] = answer.fields.value("status", json()).dump();
    span.ok = answer.text("problem").empty();
    // The answer follows from apply, so this much of the request is the ledger's append.
    if (span.ok) add("ledger append Withdraw", *asked, answer, answer.process, id);
  }

  void session(const Line& opened) {
    const std::string digest = opened.text("session_digest");
    Span& span = add("session", opened, opened, opened.process, root().id);
    const std::size_t at = spans_.size() - 1;
    const std::string id = span.id;
    span.attributes["session_digest"] = digest;
    span.ok = false;
    const Line* last_share = nullptr;
    for (const std::size_t i : records_.of_session(digest)) {
      const Line& line = records_.line(i);
      const bool refusal = line.event == "refused";
      if (line.t_us < opened.t_us) continue;
      if (refusal || line.event == "share_released") {
        Span& share = add("share", opened, line, line.process, id);
        share.kind = kServer;
        share.ok = !refusal;
        if (refusal) share.attributes["reason"] = line.text("reason");
      }
      if (line.process != opened.process || line.boot != opened.boot) continue;
      if (line.event == "share_received") last_share = &line;
      if (line.event == "aggregated") {
        add("aggregate", last_share != nullptr ? *last_share : opened, line, line.process, id);
        spans_[at].ok = true;
      }
      spans_[at].end_us = std::max(spans_[at].end_us, line.t_us);
    }
    for (const Span& child : spans_)
      if (child.parent == id) spans_[at].end_us = std::max(spans_[at].end_us, child.end_us);
  }

  void broadcast(const Line& sent) {
    Span& span = until("broadcast", sent, "broadcast_result", root().id);
    const Line* result = next(sent, "broadcast_result");
    const std::string outcome = result != nullptr ? result->text("outcome") : "no-answer";
    span.attributes["outcome"] = outcome;
    span.attributes["txid"] = sent.text("txid");
    span.ok = outcome == "accepted" || outcome.starts_with("already");
  }

  const Records& records_;
  std::string withdrawal_;
  std::vector<std::size_t> lines_;
  std::vector<Span> spans_;
};

json attribute(const std::string& key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

json span_json(const Records& records, const std::string& trace, const Span& span) {
  json attributes = json::array({attribute("roulette.withdrawal_id", trace)});
  for (const auto& [key, value] : span.attributes) attributes.push_back(attribute(key, value));
  json out{{"traceId", trace},
           {"spanId", span.id},
           {"name", span.name},
           {"kind", span.kind},
           {"startTimeUnixNano", std::to_string(records.unix_us(span.start_us)) + "000"},
           {"endTimeUnixNano", std::to_string(records.unix_us(span.end_us)) + "000"},
           {"attributes", attributes},
           {"status", {{"code", span.ok ? kOk : kError}}}};
  if (!span.parent.empty()) out["parentSpanId"] = span.parent;
  return out;
}

// One ExportTraceServiceRequest; a process is a service.
json export_request(const Records& records,
                    const std::map<std::string, std::vector<Span>>& traces) {
  std::map<std::string, json> by_process;
  for (const auto& [trace, spans] : traces)
    for (const Span& span : spans) {
      json& list = by_process.try_emplace(span.process, json::array()).first->second;
      list.push_back(span_json(records, trace, span));
    }
  json resources = json::array();
  for (const auto& [process, spans] : by_process)
    resources.push_back(
        {{"resource", {{"attributes", json::array({attribute("service.name", process)})}}},
         {"scopeSpans",
          json::array({{{"scope", {{"name", "quorum-roulette"}}}, {"spans", spans}}})}});
  return {{"resourceSpans", resources}};
}

struct Collector {
  std::string host, path;
  std::uint16_t port = 0;
};

// http://127.0.0.1:4318/v1/traces; loopback only.
Result<Collector> parse_url(const std::string& url) {
  const Error wrong{ErrorKind::Usage,
                    "--otlp must be http://127.0.0.1:PORT/PATH (a collector on this machine)"};
  const std::string scheme = "http://";
  if (!url.starts_with(scheme + "127.")) return wrong;
  const auto colon = url.find(':', scheme.size());
  const auto slash = url.find('/', scheme.size());
  if (colon == std::string::npos || slash == std::string::npos || slash < colon) return wrong;
  const std::string port = url.substr(colon + 1, slash - colon - 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos)
    return wrong;
  const unsigned long number = std::stoul(port);
  if (number == 0 || number > 65'535) return wrong;
  return Collector{url.substr(scheme.size(), colon - scheme.size()), url.substr(slash),
                   static_cast<std::uint16_t>(number)};
}

Status post(runtime::EventLoop& loop, runtime::HttpClient& http, const Collector& collector,
            std::string body) {
  std::optional<Result<runtime::HttpResponse>> answer;
  runtime::HttpCall call;
  call.method = "POST";
  call.target = collector.path;
  call.body = std::move(body);
  call.deadline = kPostLimit;
  http.call(std::move(call), [&](Result<runtime::HttpResponse> r) { answer = std::move(r); });
  if (!loop.run_until([&] { return answer.has_value(); }, kPostLimit + seconds(1)))
    return Error{ErrorKind::Network, "the collector did not answer in time"};
  if (!*answer) return answer->error().with_context("the collector");
  if ((*answer)->status / 100 != 2)
    return Error{ErrorKind::Refused,
                 "the collector answered HTTP " + std::to_string((*answer)->status)};
  return {};
}

Status send(const Collector& collector, const std::vector<json>& requests) {
  runtime::EventLoop loop;
  runtime::HttpClient http(loop, {.address = collector.host, .port = collector.port});
  for (const json& request : requests)
    if (Status status = post(loop, http, collector, request.dump()); !status) return status;
  return {};
}

}  // namespace

int trace_command(const TraceOptions& options) {
  std::optional<Collector> collector;
  if (!options.otlp.empty()) {
    const auto parsed = parse_url(options.otlp);
    if (!parsed) return report_error(parsed.error());
    collector = *parsed;
  }
  Records records;
  if (const Status read = records.read(options.run_dir); !read) return report_error(read.error());
  std::vector<json> requests;
  std::map<std::string, std::vector<Span>> some;
  std::size_t traces = 0, spans = 0;
  for (const auto& [withdrawal, lines] : records.withdrawals()) {
    if (!options.withdrawal.empty() && withdrawal != options.withdrawal) continue;
    std::vector<Span> told = Trace(records, withdrawal).spans();
    if (told.empty()) continue;
    ++traces;
    spans += told.size();
    some.emplace(withdrawal, std::move(told));
    if (some.size() < kTracesPerPost) continue;
    requests.push_back(export_request(records, some));
    some.clear();
  }
  if (!some.empty()) requests.push_back(export_request(records, some));
  if (traces == 0)
    return report_error(Error{ErrorKind::Usage, "no such withdrawal in the event logs"});
  // A file of OTLP/JSON is one request a line, as the collector's own file exporter writes it.
  std::string text;
  for (const json& request : requests) text += request.dump() + "\n";
  if (options.out.empty() && !collector) {
    std::cout << text;
  } else if (!options.out.empty()) {
    std::ofstream file(options.out, std::ios::binary);
    file << text;
    file.close();
    if (!file) return report_error(Error{ErrorKind::Io, options.out + " cannot be written"});
  }
  if (collector)
    if (const Status sent = send(*collector, requests); !sent) return report_error(sent.error());
  std::cerr << traces << " traces, " << spans << " spans" << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
