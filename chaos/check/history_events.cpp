// The merged event log. See history.h.
//
// Invariant: a gap in the numbers of one boot (an event that could not be written) and a daemon
// that wrote nothing at all are defects of the source: what a log does not say must not look as if
// it had not happened.
#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "chaos/check/record_reader.h"
#include "chaos/plan/cluster_shape.h"
#include "common/base/limits.h"

namespace roulette::check::load {
namespace {

using nlohmann::json;
constexpr std::size_t kTxid = 32, kDigest = 32, kId = 16;

class EventReader {
 public:
  explicit EventReader(History& history) : out_(history.events), scheme_(history.scheme()) {}

  void take(Fields& f) {
    EventHead head;
    head.at = f.at();
    head.t_us = f.integer("t_us");
    head.wall_us = f.maybe_integer("wall_us").value_or(0);
    head.process = f.text("process");
    head.boot = f.text("boot");
    const std::uint64_t seq = f.count("seq");
    const std::string event = f.text("event");
    if (!f.good()) return;
    out_.processes.insert(head.process);
    note_sequence(f, head, seq);
    if (take_life(f, head, event) || take_signing(f, head, event) || take_requests(f, head, event))
      return;
    if (!take_tool(f, head, event) && !told_only(event))
      f.fail("unknown event '" + event + "' (docs/RECORDS.md, section 1)");
  }

  // Whatever number of a boot was never seen was lost.
  void report_gaps(Source& source) const {
    for (const auto& [boot, seen] : boots_) {
      if (seen.lost == 0) continue;
      note_defect(source, 0,
                  boot.first + " boot " + boot.second + ": " + std::to_string(seen.lost) + " of " +
                      std::to_string(seen.last) + " events were lost");
    }
  }

  // Who lives says so first.
  void report_unstarted(Source& source) const {
    std::set<std::string> started;
    for (const Lifecycle& e : out_.lifecycle) {
      if (e.event == "started") started.insert(e.boot);
    }
    for (const auto& [life, numbers] : boots_) {
      if (life.first != "tool-0" && !started.contains(life.second))
        note_defect(source, 0, life.first + " wrote events under boot " + life.second +
                                   ", but never `started`");
    }
  }

 private:
  struct Numbers {
    std::uint64_t last = 0, lost = 0;
  };

  // A process numbers its events as it writes them, and its clock does not go back: in the order of
  // time the numbers of a boot are 1, 2, 3, ...
  void note_sequence(Fields& f, const EventHead& head, std::uint64_t seq) {
    if (head.t_us < last_us_) return f.fail("it is not in the order of time");
    last_us_ = head.t_us;
    Numbers& seen = boots_[{head.process, head.boot}];
    if (seq <= seen.last) {
      return f.fail("seq " + std::to_string(seq) + " of this boot stands behind " +
                    std::to_string(seen.last));
    }
    seen.lost += seq - seen.last - 1;
    seen.last = seq;
  }

  // Written for people and other tools; no checker reads them.
  static bool told_only(const std::string& event) {
    static const std::set<std::string> known{"ready",
                                             "not_ready",
                                             "refused",
                                             "journal_opened",
                                             "journal_checked",
                                             "blamed",
                                             "node_chosen",
                                             "tokens_changed",
                                             "tokens_refused",
                                             "took_over",
                                             "quorum",
                                             "signing_given_up",
                                             "signer_refused",
                                             "snapshot_failed",
                                             "usage",
                                             "cell",
                                             "restart_failed",
                                             "control_line_not_sent",
                                             "control_line_not_understood"};
    return known.contains(event);
  }

  template <class Event>
  void keep(Fields& f, std::vector<Event>& list, Event event) {
    if (f.good()) list.push_back(std::move(event));
  }

  bool take_life(Fields& f, const EventHead& head, const std::string& event) {
    if (event == "started" || event == "shutdown_started" || event == "stopped") {
      Lifecycle life{head, event, false};
      if (event == "stopped") life.drained = f.boolean("drained");
      keep(f, out_.lifecycle, std::move(life));
    } else if (event == "limits") {
      keep(f, out_.limits, read_limits(f, head));
    } else if (event == "checkpoint" || event == "end_of_run_applied" ||
               event == "snapshot_ordered" || event == "snapshot_stored" ||
               event == "snapshot_loaded") {
      keep(f, out_.digests, DigestEvent{head, event, f.count("index"), f.hex("digest", kDigest)});
    } else if (event == "trim_ordered" || event == "log_trimmed") {
      keep(f, event == "log_trimmed" ? out_.trims : out_.trim_orders,
           Trimmed{head, f.count("up_to"), f.count("newest")});
    } else if (event == "diverged") {
      keep(f, out_.diverged, Diverged{head, f.count("index")});
    } else {
      return false;
    }
    return true;
  }

  static LimitsEvent read_limits(Fields& f, const EventHead& head) {
    LimitsEvent out{head, {}};
    static const std::set<std::string> common{"t_us", "wall_us", "process", "boot", "seq", "event"};
    const std::string suffix = "_bound";
    for (const auto& [name, value] : f.raw().items()) {
      if (common.contains(name) || (name.size() > suffix.size() && name.ends_with(suffix)))
        continue;
      if (!value.is_number()) {
        f.fail("limit '" + name + "' is not a number");
        return out;
      }
      Limit limit{name, value.get<double>(), std::nullopt};
      const auto bound = f.raw().find(name + suffix);
      if (bound != f.raw().end() && bound->is_number()) limit.bound = bound->get<double>();
      out.limits.push_back(std::move(limit));
    }
    return out;
  }

  bool take_signing(Fields& f, const EventHead& head, const std::string& event) {
    if (event == "share_released" || event == "share_received") {
      const bool released = event == "share_released";
      ShareEvent share{head, {}, {}, {}, {}, {}, {}, {}, 0, false};
      share.signer = released ? head.process : f.text("signer");
      share.coordinator = released ? f.text("coordinator") : head.process;
      share.session_digest = f.hex("session_digest", kDigest);
      share.withdrawal_id = f.hex("withdrawal_id", kId);
      share.txid = f.hex("txid", kTxid);
      share.nonces = f.hex_list("nonces", scheme_.nonce_size);
      share.shares = f.hex_list("shares", scheme_.share_size);
      if (released) {
        share.journal_length = f.count("journal_length");
        share.retry = f.boolean("retry");
      }
      keep(f, released ? out_.released : out_.received, std::move(share));
    } else if (event == "session_opened") {
      keep(f, out_.opened,
           SessionOpened{head, f.hex("withdrawal_id", kId), f.hex("txid", kTxid),
                         f.hex("session_digest", kDigest), f.text_list("signers")});
    } else if (event == "aggregated") {
      keep(f, out_.aggregated,
           Aggregated{head, f.hex("withdrawal_id", kId), f.hex("txid", kTxid),
                      f.hex("session_digest", kDigest),
                      f.any_hex_list("signatures", limits::kMaxSignatureBytes)});
    } else if (event == "broadcast") {
      keep(f, out_.broadcasts,
           BroadcastEvent{head, f.hex("withdrawal_id", kId), f.hex("txid", kTxid),
                          f.any_hex("hex")});
    } else if (event == "broadcast_result") {
      keep(f, out_.broadcast_results,
           BroadcastResult{head, f.hex("withdrawal_id", kId), f.hex("txid", kTxid),
                           f.text("outcome")});
    } else if (event == "signed_applied") {
      keep(f, out_.signed_applied,
           SignedApplied{head, f.hex("withdrawal_id", kId), f.hex("txid", kTxid)});
    } else if (event == "signer_quarantined") {
      keep(f, out_.quarantined, SignerQuarantined{head, f.text("signer"), f.text("reason")});
    } else {
      return false;
    }
    return true;
  }

  bool take_requests(Fields& f, const EventHead& head, const std::string& event) {
    if (event == "request_received") {
      keep(f, out_.requests, RequestReceived{head, f.count("request"), f.text("kind")});
    } else if (event == "answered") {
      Answered answer{head, f.count("request"), static_cast<int>(f.integer("status")), {}, {}, {},
                      {}};
      answer.id = f.text_or_empty("id");
      answer.state = f.text_or_empty("state");
      answer.txid = f.text_or_empty("txid");
      answer.problem = f.text_or_empty("problem");
      keep(f, out_.answers, std::move(answer));
    } else {
      return false;
    }
    return true;
  }

  bool take_tool(Fields& f, const EventHead& head, const std::string& event) {
    if (event == "up" || event == "down") {
      keep(f, out_.up_down, UpDown{head, f.text("name"), f.text("why"), event == "up"});
    } else if (event == "spawned") {
      keep(f, out_.spawned, Spawned{head, f.text("name")});
    } else if (event == "exited") {
      Exited exited{head, f.text("name"), f.integer("code"), f.integer("signal"),
                    f.boolean("asked"), {}};
      if (f.has("cpu_us")) exited.cpu_us = f.count("cpu_us");
      keep(f, out_.exited, std::move(exited));
    } else if (event == "traffic") {
      keep(f, out_.traffic,
           Traffic{head, f.text("name"), f.text("peer"), f.count("messages"), f.count("bytes")});
    } else if (event == "phase") {
      keep(f, out_.phases, Phase{head, f.text("name")});
    } else if (event == "fault") {
      keep(f, out_.moments,
           FaultMoment{head, f.text("name"), f.text("moment"), f.count("fault_id")});
    } else if (event == "node_height") {
      if (f.text("why") == "export") out_.chain_end = f.hex("hash", kTxid);
    } else {
      return false;
    }
    return true;
  }

  Events& out_;
  std::int64_t last_us_ = 0;  // of the line before: the merged file is in the order of time
  const crypto::SchemeFacts& scheme_;
  std::map<std::pair<std::string, std::string>, Numbers> boots_;
};

template <class Event>
void by_time(std::vector<Event>& events) {
  std::stable_sort(events.begin(), events.end(),
                   [](const Event& a, const Event& b) { return a.t_us < b.t_us; });
}

void sort_all(Events& e) {
  by_time(e.lifecycle), by_time(e.released), by_time(e.received), by_time(e.opened),
      by_time(e.aggregated);
  by_time(e.broadcasts), by_time(e.broadcast_results), by_time(e.signed_applied),
      by_time(e.quarantined), by_time(e.requests);
  by_time(e.answers), by_time(e.limits), by_time(e.digests), by_time(e.up_down), by_time(e.spawned);
  by_time(e.exited), by_time(e.phases), by_time(e.moments);
}

}  // namespace

void events(const std::string& run_dir, History& history) {
  EventReader reader(history);
  history.events_file = read_records(run_dir, "events.ndjson", "roulette-events", history,
                                     [&](Fields& fields) { reader.take(fields); });
  Source& source = history.sources[history.events_file];
  if (!source.present) return;
  reader.report_gaps(source);
  reader.report_unstarted(source);
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    for (std::uint16_t i = 0; i < chaos::instances_of(history.experiment.cluster, role); ++i) {
      const std::string name = ProcessName{role, i}.text();
      if (!history.events.processes.contains(name))
        note_defect(source, 0, name + " wrote no event");
    }
  }
  if (!history.events.processes.contains("tool-0"))
    note_defect(source, 0, "the tool wrote no event");
  sort_all(history.events);
}

}  // namespace roulette::check::load
