// What the tool wrote: the client's own record and the faults. See history.h.
//
// Invariant: a client's record counts only when it is finished: every request has an outcome
// (an answer, or that none came), and the last line says how many keys and requests there were.
#include <map>
#include <set>

#include "chaos/check/record_reader.h"
#include "common/bitcoin/address.h"

namespace roulette::check::load {
namespace {

class ClientReader {
 public:
  explicit ClientReader(History& history) : history_(history) {}

  void take(Fields& fields) {
    const std::string type = fields.text("type");
    if (fields.good() && ended_) return fields.fail("a line behind the end of the record");
    if (type == "end") return take_end(fields);
    if (type == "client") return take_client(fields);
    if (type == "key") return take_key(fields);
    if (type == "invoke") return take_invoke(fields);
    if (type == "answer" || type == "no_answer") return take_answer(fields, type == "answer");
    if (fields.good()) fields.fail("unknown type '" + type + "'");
  }

  // What was asked and has no outcome is unknown even to the client: an answer that was lost here
  // could have been any.
  void report_open(Source& source) const {
    if (!ended_) note_defect(source, 0, "the client never ended its record");
    if (history_.experiment.cluster.client_signatures != history_.client_key.has_value())
      note_defect(source, 0,
                  history_.client_key ? "a client's key, but the experiment's need none"
                                      : "no key of the client whose requests are signed");
    for (const Operation& op : history_.operations) {
      if (op.answered || op.unanswered) continue;
      note_defect(source, op.at.line,
                  "op " + std::to_string(op.op) + " has neither an answer nor a no_answer");
    }
  }

 private:
  void take_end(Fields& fields) {
    const std::uint64_t keys = fields.count("keys");
    const std::uint64_t ops = fields.count("ops");
    if (!fields.good()) return;
    ended_ = true;
    if (keys == keys_.size() && ops == operations_.size()) return;
    fields.fail("the client made " + std::to_string(keys) + " keys and " + std::to_string(ops) +
                " requests; " + std::to_string(keys_.size()) + " and " +
                std::to_string(operations_.size()) + " stand here");
  }

  void take_client(Fields& fields) {
    RequestingClient client;
    client.at = fields.at();
    client.name = fields.text("name");
    client.cluster_id = fields.text("cluster_id");
    const auto key = array_from_hex<32>(fields.hex("public_key", 32));
    if (!fields.good()) return;
    if (history_.client_key || !keys_.empty())
      return fields.fail("a client behind the first line of the record");
    client.public_key = *key;
    history_.client_key = client;
  }

  void take_key(Fields& fields) {
    ClientKey key;
    key.at = fields.at();
    key.t_us = fields.integer("t_us");
    key.key = fields.text("key");
    key.account = fields.text("account");
    key.address = fields.text("address");
    key.amount_sat = fields.integer("amount_sat");
    if (!fields.good()) return;
    const Result<Bytes> script = bitcoin::script_from_address(key.address);
    if (!script) return fields.fail("address '" + key.address + "': " + script.error().message);
    key.script = *script;
    key.replaces = fields.text_or_empty("replaces");
    if (!key.replaces.empty() && !same_order(key))
      return fields.fail("key " + key.key + " replaces one that no client gave up");
    if (!keys_.emplace(key.key, history_.keys.size()).second)
      return fields.fail("key " + key.key + " was made before");
    // The chain is the judge only while one address belongs to one withdrawal.
    if (!addresses_.emplace(key.address, true).second)
      return fields.fail("address " + key.address + " was used before");
    history_.keys.push_back(std::move(key));
  }

  // What it replaces was made before, for the same payment, by a client that uses no keys.
  bool same_order(const ClientKey& key) const {
    const auto before = keys_.find(key.replaces);
    if (before == keys_.end() || history_.experiment.workload.idempotency) return false;
    const ClientKey& old = history_.keys[before->second];
    return old.account == key.account && old.amount_sat == key.amount_sat;
  }

  void take_invoke(Fields& fields) {
    Operation op;
    op.at = fields.at();
    op.op = fields.count("op");
    op.invoked_us = fields.integer("t_us");
    op.intended_us = fields.integer("intended_us");
    op.key = fields.text("key");
    op.coordinator = fields.text("coordinator");
    op.intent = fields.text("intent");
    op.amount_sat = fields.maybe_integer("amount_sat");
    op.address = fields.text_or_empty("address");
    op.account = fields.text_or_empty("account");
    if (!fields.good()) return;
    static const std::set<std::string> intents{"new",      "retry", "duplicate",
                                               "conflict", "poll",  "resolve"};
    if (!intents.contains(op.intent)) return fields.fail("unknown intent '" + op.intent + "'");
    if (!is_coordinator(op.coordinator))
      return fields.fail("'" + op.coordinator + "' is no coordinator of this cluster");
    if (!keys_.contains(op.key))
      return fields.fail("key " + op.key + " was sent before it was stored");
    if (!op.get() && (!op.amount_sat || op.address.empty()))
      return fields.fail("an invoke without its payload");
    if (!operations_.emplace(op.op, history_.operations.size()).second) {
      return fields.fail("op " + std::to_string(op.op) + " was invoked before");
    }
    history_.operations.push_back(std::move(op));
  }

  void take_answer(Fields& fields, bool answered) {
    const std::uint64_t number = fields.count("op");
    const std::int64_t t_us = fields.integer("t_us");
    const auto found = operations_.find(number);
    if (!fields.good()) return;
    if (found == operations_.end())
      return fields.fail("op " + std::to_string(number) + " was never invoked");
    Operation& op = history_.operations[found->second];
    if (op.answered || op.unanswered)
      return fields.fail("op " + std::to_string(number) + " was answered before");
    if (!answered) {
      op.unanswered = true;
    } else {
      const std::int64_t status = fields.integer("status");
      op.id = fields.text_or_empty("id");
      op.state = fields.text_or_empty("state");
      op.txid = fields.text_or_empty("txid");
      op.problem = fields.text_or_empty("problem");
      if (!fields.good()) return;
      if (status < 100 || status > 599)
        return fields.fail("status " + std::to_string(status) + " is no HTTP status");
      op.status = static_cast<int>(status);
      op.answered = true;
    }
    op.answer_at = fields.at();
    op.answered_us = t_us;
  }

  bool is_coordinator(const std::string& name) const {
    for (std::uint16_t i = 0; i < history_.experiment.cluster.coordinators; ++i) {
      if (name == ProcessName{Role::Coordinator, i}.text()) return true;
    }
    return false;
  }

  History& history_;
  bool ended_ = false;
  std::map<std::string, std::size_t> keys_;  // where in the history
  std::map<std::string, bool> addresses_;
  std::map<std::uint64_t, std::size_t> operations_;
};

void take_proof(Fields& fields, FaultRecord& fault) {
  auto proof = fields.object("proof");
  if (!proof) return;
  fault.has_proof = true;
  fault.send_result = proof->integer("send_result");
  fault.sent_us = proof->integer("sent_us");
  fault.wtermsig = proof->maybe_integer("wtermsig");
  fault.exit_code = proof->maybe_integer("exit_code");
  fault.stopped = proof->boolean_or_false("stopped");
  fault.continued = proof->boolean_or_false("continued");
  fault.shutdown_started = proof->boolean_or_false("shutdown_started");
  fault.escalated = proof->boolean_or_false("escalated");
  fault.reaped_us = proof->maybe_integer("reaped_us");
  fault.token_calls = proof->maybe_integer("token_calls");
  fault.token_back_us = proof->maybe_integer("token_back_us");
}

}  // namespace

void client(const std::string& run_dir, History& history) {
  ClientReader reader(history);
  history.client = read_records(run_dir, "history.ndjson", "roulette-history", history,
                                [&](Fields& fields) { reader.take(fields); });
  Source& source = history.sources[history.client];
  if (source.whole()) reader.report_open(source);
}

void faults(const std::string& run_dir, History& history) {
  history.faults_file =
      read_records(run_dir, "faults.ndjson", "roulette-faults", history, [&](Fields& fields) {
        FaultRecord fault;
        fault.at = fields.at();
        fault.fault_id = fields.count("fault_id");
        fault.rule = fields.count("rule");
        fault.occurrence = fields.count("occurrence");
        fault.trigger_process = fields.text_or_empty("trigger_process");
        fault.role = fields.text("role");
        fault.point = fields.text("point");
        fault.victim = fields.text("victim");
        fault.signal = fields.text("signal");
        fault.recover = fields.text("recover");
        fault.why_not = fields.text_or_empty("why_not");
        fault.fired = fields.boolean("fired");
        fault.proven = fields.boolean("proven");
        fault.over_budget = fields.boolean_or_false("over_budget");
        fault.has_hit = fields.has("hit");
        fault.restarted_us = fields.maybe_integer("restarted_us");
        fault.ready_us = fields.maybe_integer("ready_us");
        take_proof(fields, fault);
        if (fields.good()) history.faults.push_back(std::move(fault));
      });
}

void tokens(const std::string& run_dir, History& history) {
  const chaos::ClusterPlan& plan = history.experiment.cluster;
  for (std::uint16_t i = 0; plan.faulty_tokens && i < plan.signers; ++i) {
    const std::string name = ProcessName{Role::Signer, i}.text();
    std::vector<TokenAnswer>& answers = history.tokens[name];
    read_records(run_dir, "state/token-" + name + ".ndjson", "roulette-token", history,
                 [&](Fields& fields) {
                   TokenAnswer answer{fields.at(), fields.integer("t_us"), fields.text("answer")};
                   (void)fields.text("call");
                   if (fields.good()) answers.push_back(std::move(answer));
                 });
  }
}

}  // namespace roulette::check::load
