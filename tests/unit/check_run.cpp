// The hand-made run: see check_run.h.
#include "check_run.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>
#include <catch2/catch.hpp>

#include "chaos/check/checkers.h"
#include "chaos/check/journal_chain.h"
#include "chaos/plan/schedule.h"
#include "chaos/sim/soft_ecdsa.h"
#include "common/base/assert.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/chain_facts.h"
#include "common/bitcoin/encoding.h"
#include "common/bitcoin/fees.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/ecdsa.h"
#include "common/crypto/hash.h"
#include "common/crypto/schemes.h"
#include "common/crypto/taproot.h"
#include "common/wire/client_list.h"
#include "common/wire/commands.h"

namespace roulette::check::test {
namespace {

using bitcoin::Transaction;
using bitcoin::TxOut;

constexpr std::int64_t kStartUs = 1'000'000'000;
constexpr std::int64_t kWallOffsetUs = 1'700'000'000'000'000;
constexpr std::int64_t kCoinSat = 1'000'000;
constexpr std::int64_t kFeeSat = 10'000;
constexpr std::uint32_t kLedgerTip = 9;

std::int64_t us(double ms) {
  return kStartUs + static_cast<std::int64_t>(ms * 1000);
}
Hash32 hash_of(const std::string& text) {
  return crypto::sha256(as_bytes(text));
}
std::string hex_of(const std::string& text) {
  return to_hex(hash_of(text));
}
std::string id_of(const std::string& text) {
  return hex_of(text).substr(0, 32);
}
constexpr std::uint64_t kToldForAnswer = 1000;  // number of the request that op 0 would have been

std::string digest_at(std::uint64_t index) {
  return hex_of("state at " + std::to_string(index));
}
std::string text_of(const Transaction& tx) {
  return to_hex(bitcoin::serialize(tx));
}
std::string txid_of(const Transaction& tx) {
  return bitcoin::txid_to_hex(bitcoin::txid(tx));
}

bool has_all(const json& line, const json& fields) {
  return std::all_of(fields.items().begin(), fields.items().end(), [&](const auto& field) {
    return line.contains(field.key()) && line.at(field.key()) == field.value();
  });
}

Hash32 merkle(std::vector<Hash32> level) {
  while (level.size() > 1) {
    if (level.size() % 2 == 1) level.push_back(level.back());
    for (std::size_t i = 0; i < level.size() / 2; ++i) {
      Bytes pair(level[2 * i].begin(), level[2 * i].end());
      append(pair, level[2 * i + 1]);
      level[i] = crypto::sha256d(pair);
    }
    level.resize(level.size() / 2);
  }
  return level.front();
}

// Pays nobody the wallet knows; commits to the witnesses of the block (BIP 141).
Transaction coinbase(std::uint32_t height, const std::vector<Transaction>& rest) {
  Transaction tx;
  bitcoin::TxIn input;
  input.outpoint.vout = 0xffffffff;
  input.script_sig = {0x03, static_cast<std::uint8_t>(height), 0, 0};
  input.witness = {Bytes(32, 0)};
  tx.inputs.push_back(input);
  tx.outputs.push_back({5'000'000'000, bitcoin::p2tr_script(hash_of("miner"))});
  std::vector<Hash32> wtxids(1);
  for (const Transaction& t : rest) wtxids.push_back(bitcoin::wtxid(t));
  const Hash32 root = merkle(wtxids);
  Bytes committed(root.begin(), root.end());
  committed.resize(64);
  const Hash32 commitment = crypto::sha256d(committed);
  Bytes script{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};
  append(script, commitment);
  tx.outputs.push_back({0, script});
  return tx;
}

// Block 0 of every regtest chain; hash 0f9188f1...
constexpr char kGenesisBlock[] =
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac7"
    "2c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000010100000001000000000000"
    "0000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d"
    "65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e642062"
    "61696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130"
    "b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b"
    "6bf11d5fac00000000";

struct Mined {
  std::string hash, hex;
  std::vector<Transaction> txs;
  Hash32 raw{};
};

Mined mine(std::uint32_t height, const Hash32& prev, const std::vector<Transaction>& rest) {
  Mined out;
  out.txs.push_back(coinbase(height, rest));
  out.txs.insert(out.txs.end(), rest.begin(), rest.end());
  std::vector<Hash32> txids;
  for (const Transaction& tx : out.txs) txids.push_back(bitcoin::txid(tx));
  bitcoin::Writer w;
  // Regtest's target: the hash, read backwards, begins with a zero bit; every second one does.
  for (std::uint32_t nonce = 0; nonce == 0 || out.raw.back() >= 0x80; ++nonce) {
    w = {};
    w.u32(4);
    w.raw(prev);
    w.raw(merkle(txids));
    w.u32(1'700'000'000 + height);
    w.u32(0x207fffff);
    w.u32(nonce);
    out.raw = crypto::sha256d(w.view());
  }
  w.compact_size(out.txs.size());
  for (const Transaction& tx : out.txs) w.raw(bitcoin::serialize(tx));
  out.hash = bitcoin::txid_to_hex(out.raw);
  out.hex = to_hex(w.view());
  return out;
}

Mined genesis() {
  const bitcoin::Block block = bitcoin::parse_block_hex(kGenesisBlock).value();
  return {bitcoin::txid_to_hex(block.hash), kGenesisBlock, block.transactions, block.hash};
}

constexpr const char* kClient = "shop";
constexpr const char* kClusterId = "run-1";

crypto::Ed25519Key client_key() {
  return crypto::Ed25519Key::from_seed(Secret<32>(hash_of("client"))).value();
}
// The request's signature, as hex.
std::string asked_for(const wire::PaymentRequest& request) {
  const Bytes text = wire::signed_text(kClusterId, kClient, request);
  return to_hex(client_key().sign(text).value());
}

}  // namespace

Run::Run(const Options& options) : options_(options) {
  make_experiment();
  make_wallet();
  make_payment(0, {{bitcoin::txid(funding_), 0}}, 100'000);
  make_payment(1, {{bitcoin::txid(funding_), 1}, {bitcoin::txid(funding_), 2}}, 1'500'000);
  make_payment(2, {{bitcoin::txid(funding_), 3}}, options.third_sat);
  make_payment(3, {{bitcoin::txid(paid[0].tx), 1}}, 130'000);
  const std::vector<int> sessions[] = {{0, 1}, {0, 2}, {0, 1}, {1, 2}};
  for (std::size_t i = 0; i < paid.size(); ++i)
    paid[i].signers = in_token() ? std::vector<int>{0} : sessions[i];
  blocks.resize(13);
  blocks[1] = {funding_};
  blocks[4] = {paid[0].tx};
  blocks[5] = {paid[1].tx};
  blocks[7] = {paid[2].tx, paid[3].tx};
  make_history();
  make_events();
  make_faults();
  make_journals();
  make_ledgers();
  make_transactions();
}

const crypto::SchemeFacts& Run::scheme() const {
  return crypto::scheme_by_name(options_.scheme)->facts();
}

std::string Run::struck() const {
  return in_token() ? "signer-0" : "signer-1";
}

std::vector<std::string> Run::daemons() const {
  std::vector<std::string> out{"coordinator-0", "coordinator-1", "ledger-0", "ledger-1"};
  for (int i = 0; i < experiment.cluster.signers; ++i) out.push_back("signer-" + std::to_string(i));
  return out;
}

void Run::make_experiment() {
  experiment.title = "a small run";
  experiment.seed = 7;
  experiment.cluster.scheme = options_.scheme;
  experiment.cluster.signers = in_token() ? 1 : 3;
  experiment.cluster.threshold = in_token() ? 1 : 2;
  experiment.cluster.faulty_tokens = in_token();
  experiment.cluster.coordinators = 2;
  experiment.cluster.ledgers = 2;
  experiment.cluster.etcd = 3;
  experiment.workload.duration_s = 10;
  experiment.workload.undisturbed_s = 2;
  chaos::FaultRule kill;
  const auto victim = static_cast<std::uint16_t>(in_token() ? 0 : 1);
  kill.target.index = {victim};
  kill.trigger = chaos::PointTrigger{"signer.persist.signing_record.after", 1,
                                     ProcessName{Role::Signer, victim}};
  chaos::FaultRule pause;
  pause.target.index = {0, 1};
  pause.trigger = chaos::AtTrigger{4000};
  pause.signal = chaos::Signal::Stop;
  pause.recover = {chaos::RecoverHow::Continue, 3000};
  pause.over_budget = true;
  if (in_token()) {
    pause.target.index = {0};
    pause.signal = chaos::Signal::TokenRefusing;
    for (const NamedChecker& named : all_checkers()) {
      if (named.id != std::string("nonce-never-reused")) experiment.require.emplace_back(named.id);
    }
  }
  experiment.faults = {kill, pause};
  experiment.floor.settled = 4;
  experiment.floor.kills = in_token() ? 2 : 3;
  experiment.floor.points = 2;
  experiment.steady_state = {{"settle-rate", "settled_per_second", 0.1, 10}};
  facts.schedule_hash = to_hex(chaos::draw_schedule(experiment).hash);
  facts.memory_mb["signer"] = 12.5;
}

void Run::make_wallet() {
  secret_ = hash_of("wallet");
  const auto key = crypto::public_key(Secret<32>(secret_));
  ROULETTE_ASSERT(key.ok());
  threshold_key_ = to_hex(*key);
  wallet_key_.assign(key->begin(), key->end());
  if (scheme().signatures == crypto::SignatureForm::Bip340) {
    const auto output = crypto::output_key(crypto::xonly(*key));
    ROULETTE_ASSERT(output.ok());
    wallet_key_.assign(output->key.begin(), output->key.end());
  }
  wallet_script_ = bitcoin::wallet_script(scheme().signatures, wallet_key_);
  funding_.inputs.push_back(
      {{hash_of("somebody else's coin"), 0}, {}, bitcoin::kSequenceFinal, {Bytes(64, 1)}});
  for (int i = 0; i < 6; ++i) funding_.outputs.push_back({kCoinSat, wallet_script_});
}

TxOut Run::created(const bitcoin::OutPoint& outpoint) const {
  if (outpoint.txid == bitcoin::txid(funding_)) return funding_.outputs.at(outpoint.vout);
  for (const Paid& p : paid) {
    if (outpoint.txid == bitcoin::txid(p.tx)) return p.tx.outputs.at(outpoint.vout);
  }
  ROULETTE_ASSERT(false);
  return {};
}

Bytes Run::signature(const Hash32& message) const {
  if (in_token()) return sim::SoftEcdsa(secret_).der(message);
  const auto secret = crypto::output_secret(Secret<32>(secret_));
  ROULETTE_ASSERT(secret.ok());
  const auto made = crypto::schnorr_sign(*secret, message, {});
  ROULETTE_ASSERT(made.ok());
  return Bytes(made->begin(), made->end());
}

void Run::sign(Transaction& tx, const std::vector<TxOut>& prevouts) const {
  const auto hashes = bitcoin::sighashes(scheme().signatures, tx, prevouts);
  ROULETTE_ASSERT(hashes.ok());
  for (std::size_t i = 0; i < tx.inputs.size(); ++i) {
    tx.inputs[i].witness =
        bitcoin::witness(scheme().signatures, wallet_key_, signature((*hashes)[i]));
  }
}

std::vector<std::string> Run::signatures_of(const Transaction& tx) const {
  std::vector<std::string> out;
  for (const bitcoin::TxIn& input : tx.inputs) {
    Bytes found = input.witness[0];
    if (in_token()) found.pop_back();  // the type of its sighash
    out.push_back(to_hex(found));
  }
  return out;
}

std::pair<Bytes, Bytes> Run::sign_as_wallet(const Hash32& message) const {
  return {wallet_key_, signature(message)};
}

void Run::make_payment(std::size_t i, std::vector<bitcoin::OutPoint> inputs,
                       std::int64_t amount_sat) {
  Paid p;
  const std::string n = std::to_string(i);
  p.key = "key-" + n;
  p.id = to_hex(wire::withdrawal_id_of(p.key).value());
  p.account = i % 2 == 0 ? "alice" : "bob";
  p.script = bitcoin::p2tr_script(hash_of("address " + n));
  if (i == 1) {
    ByteArray<20> half{};
    half[0] = 1;
    p.script = bitcoin::p2wpkh_script(half);
  }
  p.address = *bitcoin::address_from_script(p.script);
  p.amount_sat = amount_sat;
  std::int64_t total = 0;
  for (const bitcoin::OutPoint& outpoint : inputs) {
    p.tx.inputs.push_back({outpoint, {}, bitcoin::kSequenceNoReplacement, {}});
    p.prevouts.push_back(created(outpoint));
    total += p.prevouts.back().amount_sat;
  }
  p.tx.outputs = {{amount_sat, p.script}, {0, wallet_script_}};
  p.fee_sat = *bitcoin::fee_sat(bitcoin::sat_per_vbyte(10),
                                bitcoin::signed_vsize(scheme().signatures,
                                                      inputs.size(), p.tx.outputs));
  p.tx.outputs[1].amount_sat = total - amount_sat - p.fee_sat;
  sign(p.tx, p.prevouts);
  p.signatures = signatures_of(p.tx);
  p.txid = txid_of(p.tx);
  p.session = hex_of("session " + n);
  paid.push_back(std::move(p));
}

Transaction Run::spend_spare(const Bytes& script, std::int64_t amount_sat) const {
  Transaction tx;
  tx.inputs.push_back({{bitcoin::txid(funding_), 5}, {}, bitcoin::kSequenceNoReplacement, {}});
  tx.outputs = {{amount_sat, script}, {kCoinSat - amount_sat - 2000, wallet_script_}};
  sign(tx, {funding_.outputs[5]});
  return tx;
}

// ---- what the client wrote ----

void Run::make_history() {
  auto& out = files["history.ndjson"];
  out.push_back({{"type", "client"},
                 {"name", kClient},
                 {"cluster_id", kClusterId},
                 {"public_key", to_hex(client_key().public_key())}});
  const auto key = [&](std::size_t i, double at_ms) {
    const Paid& p = paid[i];
    out.push_back({{"type", "key"},
                   {"t_us", us(at_ms)},
                   {"key", p.key},
                   {"client", -1},
                   {"account", p.account},
                   {"address", p.address},
                   {"amount_sat", p.amount_sat}});
  };
  std::uint64_t op = 0;
  const auto invoke = [&](std::size_t i, double at_ms, const std::string& coordinator,
                          const std::string& intent) {
    const Paid& p = paid[i];
    json line{{"type", "invoke"}, {"t_us", us(at_ms)},          {"op", ++op},
              {"key", p.key},     {"coordinator", coordinator}, {"attempt", 1},
              {"intent", intent}, {"intended_us", us(at_ms)}};
    if (intent != "poll" && intent != "resolve") {
      line["address"] = p.address;
      line["account"] = p.account;
      line["amount_sat"] = p.amount_sat + (intent == "conflict" ? 1 : 0);
    }
    out.push_back(line);
  };
  const auto answer = [&](std::size_t i, double at_ms, int status, const std::string& state) {
    const bool ok = status < 300;
    out.push_back({{"type", "answer"},
                   {"t_us", us(at_ms)},
                   {"op", op},
                   {"status", status},
                   {"id", ok ? paid[i].id : ""},
                   {"state", state},
                   {"txid", ok ? paid[i].txid : ""},
                   {"problem", status == 503 ? "quorum-lost" : ""}});
  };
  key(0, 10'099), invoke(0, 10'100, "coordinator-0", "new"), answer(0, 10'102.5, 202, "planned");
  invoke(0, 11'000, "coordinator-1", "poll"), answer(0, 11'005, 200, "broadcast");
  key(1, 12'449), invoke(1, 12'450, "coordinator-1", "new"), answer(1, 12'456, 202, "planned");
  invoke(1, 12'450, "coordinator-0", "duplicate"), answer(1, 12'457, 202, "planned");
  invoke(1, 12'500, "coordinator-0", "conflict"), answer(1, 12'505, 422, "");
  key(2, 13'979), invoke(2, 13'980, "coordinator-0", "new"), answer(2, 13'985, 202, "planned");
  key(3, 15'499), invoke(3, 15'500, "coordinator-1", "new"), answer(3, 15'502, 503, "");
  invoke(3, 17'400, "coordinator-0", "retry"), answer(3, 17'405, 202, "planned");
  invoke(1, 18'000, "coordinator-1", "poll");
  out.push_back(
      {{"type", "no_answer"}, {"t_us", us(18'100)}, {"op", op}, {"error", "connection reset"}});
  invoke(2, 20'000, "coordinator-1", "poll"), answer(2, 20'005, 200, "confirmed");
}

// The client counts what it wrote.
void Run::end_history() {
  const auto history = files.find("history.ndjson");
  if (!ends_history || history == files.end()) return;
  auto& lines = history->second;
  std::map<std::string, std::uint64_t> counts;
  for (const json& line : lines) ++counts[line.at("type").get<std::string>()];
  if (counts["end"] > 0) return;
  lines.push_back(
      {{"type", "end"}, {"t_us", us(24'055)}, {"keys", counts["key"]}, {"ops", counts["invoke"]}});
}

// ---- event logs ----

void Run::add_event(std::int64_t at_ms, const std::string& process, const std::string& event,
                    json fields) {
  const bool second_boot = process == struck() && at_ms >= 12'700;
  json line{{"t_us", us(static_cast<double>(at_ms))},
            {"wall_us", us(static_cast<double>(at_ms)) + kWallOffsetUs},
            {"process", process},
            {"boot", id_of(process + (second_boot ? " again" : ""))},
            {"event", event}};
  line.update(fields);
  files["events.ndjson"].push_back(line);
}

void Run::make_session(std::size_t i, std::int64_t at_ms, int coordinator) {
  const Paid& p = paid[i];
  const std::string by = "coordinator-" + std::to_string(coordinator);
  json about{{"withdrawal_id", p.id}, {"txid", p.txid}, {"session_digest", p.session}};
  add_event(at_ms, by, "session_opened", [&] {
    json fields = about;
    fields["signers"] = json::array();
    for (const int signer : p.signers)
      fields["signers"].push_back("signer-" + std::to_string(signer));
    return fields;
  }());
  for (const int signer : p.signers) {
    const std::string name = "signer-" + std::to_string(signer);
    json nonces = json::array(), shares = json::array();
    for (std::size_t input = 0; input < p.tx.inputs.size(); ++input) {
      const std::string one = p.session + name + std::to_string(input);
      if (scheme().nonce_size > 0)
        nonces.push_back("02" + hex_of("R1" + one) + "03" + hex_of("R2" + one));
      const std::string share = hex_of("share" + one) + hex_of("s" + one);
      shares.push_back(share.substr(0, 2 * scheme().share_size));
    }
    if (in_token()) {  // the share is the signature, as r || s
      shares.clear();
      for (const std::string& der : p.signatures)
        shares.push_back(to_hex(*crypto::compact_of(*from_hex(der))));
    }
    json share = about;
    share.update({{"nonces", nonces}, {"shares", shares}});
    json released = share;
    auto& journal = files["state/" + name + ".ndjson"];
    const std::uint64_t sequence = journal.size() + 2;  // behind `provisioned`
    released.update({{"coordinator", by}, {"journal_length", sequence}, {"retry", false}});
    add_event(at_ms, name, "share_released", released);
    share["signer"] = name;
    add_event(at_ms + 1, by, "share_received", share);
    json inputs = json::array();
    for (std::size_t input = 0; input < p.tx.inputs.size(); ++input) {
      inputs.push_back({{"outpoint", bitcoin::to_text(p.tx.inputs[input].outpoint)},
                        {"amount_sat", p.prevouts[input].amount_sat},
                        {"script", to_hex(p.prevouts[input].script)}});
    }
    journal.push_back(
        {{"sequence", sequence},
         {"head", hex_of(name + std::to_string(sequence))},
         {"kind", "signing_record"},
         {"session_digest", p.session},
         {"nonces", nonces},
         {"withdrawal_id", p.id},
         {"payload_digest", to_hex(wire::payload_digest(p.account, p.script, p.amount_sat))},
         {"txid", p.txid},
         {"inputs", inputs}});
  }
  json aggregated = about;
  aggregated["signatures"] = p.signatures;
  add_event(at_ms + 2, by, "aggregated", aggregated);
  add_event(at_ms + 3, by, "signed_applied", {{"withdrawal_id", p.id}, {"txid", p.txid}});
  add_event(at_ms + 4, by, "broadcast",
            {{"withdrawal_id", p.id}, {"txid", p.txid}, {"hex", text_of(p.tx)}});
  add_event(at_ms + 5, by, "broadcast_result",
            {{"withdrawal_id", p.id}, {"txid", p.txid}, {"outcome", "accepted"}});
}

void Run::make_absence() {
  const auto tool = [&](std::int64_t at_ms, const std::string& event, json fields) {
    add_event(at_ms, "tool-0", event, std::move(fields));
  };
  for (const std::uint16_t victim : experiment.faults[1].target.index) {
    const std::string name = "signer-" + std::to_string(victim);
    const char* const why = in_token() ? "token-refusing" : "SIGSTOP";
    tool(14'000, "down", {{"name", name}, {"why", why}});
    tool(14'000, "fault", {{"fault_id", 2}, {"name", name}, {"moment", "sent"}});
    tool(17'000, "up", {{"name", name}, {"why", in_token() ? "ready" : "continued"}});
    for (const auto& [at_ms, moment] : std::map<int, const char*>{
             {14'001, "stopped"}, {17'000, in_token() ? "token_back" : "continued"}}) {
      if (at_ms == 14'001 && in_token()) continue;
      tool(at_ms, "fault", {{"fault_id", 2}, {"name", name}, {"moment", moment}});
    }
  }
  if (!in_token()) return;
  auto& calls = files["state/token-signer-0.ndjson"];
  for (const int at_ms : {14'001, 14'251, 14'501})
    calls.push_back({{"t_us", us(at_ms)}, {"call", "sign"}, {"answer", "refuse"}});
}

void Run::make_events() {
  std::vector<std::string> all = daemons();
  for (const char* name : {"etcd-0", "etcd-1", "etcd-2", "bitcoind-0"}) all.emplace_back(name);
  const auto tool = [&](std::int64_t at_ms, const std::string& event, json fields) {
    add_event(at_ms, "tool-0", event, std::move(fields));
  };
  tool(0, "phase", {{"name", "setup"}});
  for (const std::string& name : all) tool(1'000, "spawned", {{"name", name}, {"pid", 100}});
  for (const std::string& name : daemons())
    add_event(1'100, name, "started", {{"pid", 100}, {"version", "0.1"}, {"memory_locked", true}});
  for (const std::string& name : all) tool(2'000, "up", {{"name", name}, {"why", "ready"}});
  tool(10'000, "phase", {{"name", "undisturbed"}});
  make_session(0, 10'103, 0);
  tool(12'000, "phase", {{"name", "disturbed"}});
  make_session(1, 12'460, 1);
  tool(12'500, "fault", {{"fault_id", 1}, {"name", struck()}, {"moment", "hit"}});
  tool(12'500, "down",
       {{"name", struck()}, {"why", "stands still at signer.persist.signing_record.after"}});
  tool(12'501, "fault", {{"fault_id", 1}, {"name", struck()}, {"moment", "sent"}});
  tool(12'502, "exited",
       {{"name", struck()}, {"pid", 100}, {"code", -1}, {"signal", 9}, {"asked", true}});
  tool(12'700, "spawned", {{"name", struck()}, {"pid", 101}});
  add_event(12'750, struck(), "started",
            {{"pid", 101}, {"version", "0.1"}, {"memory_locked", true}});
  tool(12'900, "up", {{"name", struck()}, {"why", "ready"}});
  make_absence();
  add_event(14'010, "coordinator-0", "session_opened",
            {{"withdrawal_id", paid[2].id},
             {"txid", paid[2].txid},
             {"session_digest", hex_of("a session nobody finished")},
             {"signers", json::array()}});
  make_session(2, 17'100, 1);
  make_session(3, 17'410, 0);
  tool(19'500, "phase", {{"name", "drain"}});
  for (const std::uint64_t index : {16, 26}) {
    for (const char* name : {"ledger-0", "ledger-1"}) {
      add_event(index == 16 ? 13'500 : 24'050, name,
                index == 16 ? "checkpoint" : "end_of_run_applied",
                {{"index", index}, {"digest", digest_at(index)}});
    }
  }
  add_event(10'101, "coordinator-0", "request_received",
            {{"request", 1}, {"kind", "create"}, {"key", paid[0].key}});
  add_event(10'102, "coordinator-0", "answered",
            {{"request", 1},
             {"status", 202},
             {"id", paid[0].id},
             {"state", "planned"},
             {"txid", paid[0].txid},
             {"problem", ""}});
  tool(24'000, "phase", {{"name", "settle"}});
  std::int64_t at = 24'060;
  for (const char* role : {"coordinator", "ledger", "signer"}) {
    at += 100;
    for (const std::string& name : daemons()) {
      if (!name.starts_with(role)) continue;
      add_event(
          at - 1, name, "limits",
          {{"open_requests", 3},
           {"open_requests_bound", 4096},
           {"pooled_nonces", 5},
           {"pooled_nonces_bound", 64}});
      tool(at, "down", {{"name", name}, {"why", "SIGTERM"}});
      add_event(at + 1, name, "shutdown_started");
      add_event(at + 40, name, "stopped", {{"drained", true}});
      tool(at + 41, "exited",
           {{"name", name}, {"pid", 100}, {"code", 0}, {"signal", 0}, {"asked", true}});
    }
  }
  tool(24'990, "node_height", {{"why", "export"}});
  tool(25'000, "phase", {{"name", "export"}});
}

void Run::make_faults() {
  auto& out = files["faults.ndjson"];
  for (const chaos::FaultInstance& instance : chaos::draw_schedule(experiment).instances) {
    const bool kill = instance.signal == chaos::Signal::Kill;
    const bool stop = instance.signal == chaos::Signal::Stop;
    const double sent = kill ? 12'501 : 14'000;
    for (const ProcessName& victim : instance.victims) {
      json proof{{"send_result", 0},
                 {"sent_us", us(sent)},
                 {"wtermsig", kill ? json(9) : json(nullptr)},
                 {"exit_code", nullptr},
                 {"stopped", stop},
                 {"continued", stop},
                 {"shutdown_started", false},
                 {"escalated", false},
                 {"reaped_us", kill ? json(us(12'502)) : json(nullptr)}};
      if (!kill && !stop) proof.update({{"token_calls", 3}, {"token_back_us", us(17'000)}});
      out.push_back({{"fault_id", instance.id},
                     {"rule", instance.rule},
                     {"trigger_process", instance.trigger_process
                                             ? json(instance.trigger_process->text())
                                             : json(nullptr)},
                     {"role", "signer"},
                     {"trigger", kill ? "point" : "at_ms"},
                     {"point", instance.point},
                     {"occurrence", 1},
                     {"victim", victim.text()},
                     {"pid", 100},
                     {"signal", chaos::signal_name(instance.signal)},
                     {"recover", kill ? "restart" : "continue"},
                     {"over_budget", instance.over_budget},
                     {"fired", true},
                     {"hit", kill ? json{{"t_us", us(12'500)}, {"sequence", 1}} : json(nullptr)},
                     {"proof", proof},
                     {"proven", true},
                     {"restarted_us", nullptr},
                     {"ready_us", us(kill ? 12'900 : 17'000)},
                     {"why_not", ""}});
    }
  }
}

// ---- what was exported ----

void Run::make_journals() {
  for (int i = 0; i < experiment.cluster.signers; ++i) {
    const std::string name = "signer-" + std::to_string(i);
    auto& out = files["state/" + name + ".ndjson"];
    out.insert(out.begin(), json{{"sequence", 1},
                                 {"head", hex_of(name + "1")},
                                 {"kind", "provisioned"},
                                 {"signer", name},
                                 {"cluster_id", "test"},
                                 {"share_epoch", 1},
                                 {"threshold_key", threshold_key_}});
  }
}

void Run::make_transactions() {
  for (const Paid& p : paid) {
    json prevouts = json::array();
    for (std::size_t i = 0; i < p.prevouts.size(); ++i) {
      prevouts.push_back({{"txid", bitcoin::txid_to_hex(p.tx.inputs[i].outpoint.txid)},
                          {"vout", p.tx.inputs[i].outpoint.vout},
                          {"amount_sat", p.prevouts[i].amount_sat},
                          {"script", to_hex(p.prevouts[i].script)}});
    }
    files["state/transactions.ndjson"].push_back({{"withdrawal_id", p.id},
                                                  {"idempotency_key", p.key},
                                                  {"address", p.address},
                                                  {"amount_sat", p.amount_sat},
                                                  {"txid", p.txid},
                                                  {"hex", text_of(p.tx)},
                                                  {"prevouts", prevouts}});
  }
}

namespace {

// One replica's lines, in the order of the log.
struct Log {
  std::vector<json> entries, postings;
  std::map<int, std::uint64_t> lengths{{0, 1}, {1, 1}, {2, 1}};  // of journals: `provisioned`
  std::map<std::string, std::int64_t> balances;

  static json command(const std::string& name, const std::string& outcome, const std::string& id,
                      json fields) {
    json out{{"command", name},
             {"proposer", "coordinator-0"},
             {"outcome", outcome},
             {"detail", ""},
             {"withdrawal_id", id}};
    out.update(fields);
    return out;
  }
  std::uint64_t next() const { return entries.size() + 1; }
  void add(const json& one) {
    entries.push_back({{"type", "entry"}, {"index", next()}, {"commands", json::array({one})}});
  }
  void post(const std::string& debit, const std::string& credit, std::int64_t sat,
            const std::string& reason, const std::string& reference) {
    postings.push_back({{"type", "posting"},
                        {"index", next()},
                        {"debit", debit},
                        {"credit", credit},
                        {"amount_sat", sat},
                        {"reason", reason},
                        {"reference", reference}});
    balances[debit] += debit == "wallet" ? sat : -sat;
    balances[credit] += credit == "wallet" ? -sat : sat;
  }

  void withdraw(const Paid& p, const std::string& outcome, std::int64_t more_sat, double at_ms) {
    const std::int64_t amount = p.amount_sat + more_sat;
    if (outcome == "applied")
      post("customer:" + p.account, "pending", amount + kFeeSat, "hold", p.id);
    add(command("withdraw", outcome, p.id,
                {{"key", p.key},
                 {"account", p.account},
                 {"script", to_hex(p.script)},
                 {"amount_sat", amount},
                 {"payload_digest", to_hex(wire::payload_digest(p.account, p.script, amount))},
                 {"owner", "coordinator-0"},
                 {"requested_at_us", us(at_ms) + kWallOffsetUs},
                 {"client", kClient},
                 {"client_signature", asked_for({p.key, p.account, p.script, amount})}}));
  }
  void sign(const Paid& p) {
    json told = json::array();
    for (const int signer : p.signers) {
      told.push_back(
          {{"signer", "signer-" + std::to_string(signer)}, {"length", ++lengths[signer]}});
    }
    add(command("signed", "applied", p.id,
                {{"txid", p.txid}, {"signatures", p.signatures}, {"journals", told}}));
    add(command("broadcast", "applied", p.id, {{"txid", p.txid}}));
  }
  void connect(std::uint32_t height, const std::vector<const Paid*>& settled) {
    for (const Paid* p : settled) {
      post("pending", "outside", p->amount_sat, "payment", p->id);
      post("pending", "fees", kFeeSat, "fee", p->id);
      post("outside", "wallet", p->amount_sat, "payment", p->id);
      post("fees", "wallet", p->fee_sat, "network-fee", p->id);
    }
    add(command("block_connected", "applied", "", {{"height", height}}));
  }
};

}  // namespace

void Run::make_ledgers() {
  Log log;
  log.add(Log::command("genesis", "applied", "",
                       {{"signature_form", crypto::form_name(scheme().signatures)},
                        {"wallet_output_key", to_hex(wallet_key_)}}));
  log.connect(1, {});
  log.connect(2, {});
  for (std::uint32_t vout = 0; vout < funding_.outputs.size(); ++vout) {
    log.post("wallet", vout % 2 == 0 ? "customer:alice" : "customer:bob", kCoinSat, "deposit",
             txid_of(funding_) + ":" + std::to_string(vout));
  }
  log.connect(3, {});
  log.withdraw(paid[0], "applied", 0, 10'101);
  log.sign(paid[0]);
  if (options_.unmine) {
    const std::string stale = hex_of("a block that was lost");
    log.add(Log::command("block_connected", "applied", "",
                         {{"height", 4},
                          {"hash", stale},
                          {"txids", {paid[0].txid}},
                          {"wallet_outputs", json::array()}}));
    log.add(Log::command("block_disconnected", "applied", "", {{"hash", stale}}));
  }
  log.connect(4, {});
  log.withdraw(paid[1], "applied", 0, 12'451);
  log.withdraw(paid[1], "duplicate", 0, 12'452);
  log.withdraw(paid[1], "key-conflict", 1, 12'501);
  log.sign(paid[1]);
  log.connect(5, {});
  log.withdraw(paid[2], "applied", 0, 13'981);
  log.connect(6, {&paid[0]});
  log.sign(paid[2]);
  log.withdraw(paid[3], "applied", 0, 17'401);
  log.sign(paid[3]);
  log.connect(7, {&paid[1]});
  log.connect(8, {});
  log.connect(kLedgerTip, {&paid[2], &paid[3]});
  log.add(Log::command("checkpoint", "applied", "",
                       {{"replica", 0}, {"index", 16}, {"digest", digest_at(16)}}));
  const std::uint64_t end = log.next();
  log.add(Log::command("end_of_run", "applied", "", json::object()));
  for (const char* name : {"ledger-0", "ledger-1"}) {
    auto& out = files["state/" + std::string(name) + ".ndjson"];
    out = log.entries;
    for (std::size_t i = 0; i < paid.size(); ++i) {
      const Paid& p = paid[i];
      const std::uint32_t height = i == 0 ? 4 : i == 1 ? 5 : 7;
      json prevouts = files["state/transactions.ndjson"].empty() ? json::array() : json::array();
      out.push_back(
          {{"type", "withdrawal"},
           {"withdrawal_id", p.id},
           {"key", p.key},
           {"account", p.account},
           {"script", to_hex(p.script)},
           {"amount_sat", p.amount_sat},
           {"payload_digest", to_hex(wire::payload_digest(p.account, p.script, p.amount_sat))},
           {"state", "settled"},
           {"reject", ""},
           {"owner", "coordinator-0"},
           {"client", kClient},
           {"client_signature", asked_for({p.key, p.account, p.script, p.amount_sat})},
           {"txid", p.txid},
           {"unsigned_tx", to_hex(bitcoin::serialize_without_witness(p.tx))},
           {"signed_tx", text_of(p.tx)},
           {"fee_sat", p.fee_sat},
           {"height", height},
           {"prevouts", prevouts}});
      for (const bitcoin::TxIn& input : p.tx.inputs) {
        out.push_back({{"type", "reservation"},
                       {"outpoint", bitcoin::to_text(input.outpoint)},
                       {"withdrawal_id", p.id}});
      }
    }
    out.insert(out.end(), log.postings.begin(), log.postings.end());
    for (const auto& [account, sat] : log.balances)
      out.push_back({{"type", "balance"}, {"account", account}, {"amount_sat", sat}});
    out.push_back({{"type", "state"},
                   {"index", end},
                   {"digest", digest_at(26)},
                   {"closed", true},
                   {"height", kLedgerTip}});
    out.push_back({{"type", "tables"}, {"index", end}, {"digest", digest_at(26)}});
  }
  for (json& e : files["events.ndjson"]) {
    if (e.at("event") == "end_of_run_applied") e["index"] = end;
  }
}

// ---- editing ----

json& Run::line(const std::string& file, const json& fields) {
  for (json& candidate : files[file]) {
    if (has_all(candidate, fields)) return candidate;
  }
  throw std::logic_error(file + " has no line with " + fields.dump());
}

json& Run::entry_command(const std::string& file, const json& fields) {
  for (json& candidate : files[file]) {
    if (candidate.value("type", "") == "entry" && has_all(candidate["commands"][0], fields))
      return candidate["commands"][0];
  }
  throw std::logic_error(file + " has no entry with " + fields.dump());
}

void Run::erase(const std::string& file, const json& fields) {
  auto& lines = files[file];
  const auto before = lines.size();
  lines.erase(
      std::remove_if(lines.begin(), lines.end(), [&](const json& l) { return has_all(l, fields); }),
      lines.end());
  if (lines.size() == before) throw std::logic_error(file + " has no line with " + fields.dump());
}

void Run::delay_signing(std::size_t i, std::int64_t later_ms) {
  for (json& e : files["events.ndjson"]) {
    const std::string event = e.at("event");
    if (!e.contains("withdrawal_id") || e["withdrawal_id"] != paid[i].id) continue;
    if (event == "session_opened" || event.starts_with("share_")) continue;
    e["t_us"] = e["t_us"].get<std::int64_t>() + later_ms * 1000;
  }
}

void Run::keep_quorum() {
  for (const char* moment : {"stopped", "continued"}) {
    erase("events.ndjson", {{"event", "fault"}, {"fault_id", 2}, {"moment", moment}});
  }
  erase("events.ndjson", {{"event", "down"}, {"why", "SIGSTOP"}});
  // Signalled when the load was over.
  for (json& e : files["events.ndjson"]) {
    if (e.value("fault_id", 0) == 2) e["t_us"] = us(23'900);
  }
  for (json& fault : files["faults.ndjson"]) {
    if (fault.at("fault_id") == 2) fault["proof"]["sent_us"] = us(23'900);
  }
  delay_signing(2, -2'900);
  event({{"event", "session_opened"}, {"session_digest", paid[2].session}})["t_us"] = us(14'200);
  answer(7)["problem"] = "draining";
}

void Run::each_ledger(const std::function<void(const std::string& file)>& edit) {
  for (const char* file : {"state/ledger-0.ndjson", "state/ledger-1.ndjson"}) edit(file);
}

void Run::replace_transaction(std::size_t i, const Transaction& tx) {
  const Paid& p = paid[i];
  const std::string txid = txid_of(tx);
  const auto swap = [&](json& line) {
    if (!line.contains("txid") || line["txid"] != p.txid) return;
    line["txid"] = txid;
    if (line.contains("hex")) line["hex"] = text_of(tx);
    if (line.contains("signatures")) line["signatures"] = signatures_of(tx);
  };
  for (auto& [file, lines] : files) {
    for (json& line : lines) {
      swap(line);
      if (line.contains("commands")) {
        for (json& c : line["commands"]) swap(c);
      }
      if (line.value("type", "") != "withdrawal" || line["txid"] != txid) continue;
      line["unsigned_tx"] = to_hex(bitcoin::serialize_without_witness(tx));
      line["signed_tx"] = text_of(tx);
    }
  }
  for (auto& block : blocks) {
    for (auto& in : block) {
      if (in == p.tx) in = tx;
    }
  }
}

// ---- writing ----

void Run::resolve_journals() {
  if (keep_heads) return;
  std::map<std::string, std::vector<std::string>> heads;  // of the longest journal of a signer
  for (auto& [file, lines] : files) {
    if (!file.starts_with("state/signer-")) continue;
    const std::string name = file.substr(6, 8);
    std::vector<std::string> own;
    Hash32 head{};
    for (json& line : lines) {
      if (line.value("kind", "") == "provisioned") {
        head = next_head(head, ProvisionedRecord{line.at("signer"), line.at("cluster_id"),
                                                 line.at("threshold_key"), line.at("share_epoch")});
      } else {
        SigningRecord record;
        record.session_digest = line.at("session_digest");
        record.nonces = line.at("nonces").get<std::vector<std::string>>();
        record.withdrawal_id = line.at("withdrawal_id");
        record.payload_digest = line.at("payload_digest");
        record.txid = line.at("txid");
        for (const json& input : line.at("inputs")) {
          record.inputs.push_back(
              {input.at("outpoint"), input.at("amount_sat"), input.at("script")});
        }
        head = next_head(head, record);
      }
      line["head"] = to_hex(head);
      own.push_back(to_hex(head));
    }
    if (own.size() > heads[name].size()) heads[name] = own;
  }
  each_ledger([&](const std::string& file) {
    for (json& line : files[file]) {
      if (!line.contains("commands")) continue;
      for (json& command : line["commands"]) {
        if (!command.contains("journals")) continue;
        for (json& told : command["journals"]) {
          const auto& known = heads[told.at("signer").get<std::string>()];
          const std::size_t length = told.at("length");
          if (told.contains("head")) continue;
          // A record that a test took away had a head that nobody knows any more.
          told["head"] = length <= known.size() ? known[length - 1] : std::string(64, '2');
        }
      }
    }
  });
}

// As the state keeps them: the longest that any applied signature told of a signer.
void Run::keep_told_heads() {
  std::map<std::string, json> kept;
  each_ledger([&](const std::string& file) {
    for (const json& line : files[file]) {
      if (!line.contains("commands")) continue;
      for (const json& command : line["commands"]) {
        if (!command.contains("journals") || command.value("outcome", "") != "applied") continue;
        for (const json& told : command["journals"]) {
          json& known = kept[told.at("signer").get<std::string>()];
          if (known.is_null() || known.at("length") < told.at("length")) known = told;
        }
      }
    }
  });
  each_ledger([&](const std::string& file) {
    auto& lines = files[file];
    const bool there = std::any_of(lines.begin(), lines.end(), [](const json& line) {
      return line.value("type", "") == "journal_head";
    });
    if (there || lines.empty()) return;
    for (const auto& [signer, head] : kept) {
      json line = head;
      line["type"] = "journal_head";
      lines.push_back(line);
    }
  });
}

std::vector<json> Run::chain_lines() {
  std::vector<json> out;
  Hash32 prev{};
  hashes_.clear();
  for (std::uint32_t height = 0; height < blocks.size(); ++height) {
    const Mined block = height == 0 ? genesis() : mine(height, prev, blocks[height]);
    prev = block.raw;
    hashes_.push_back(block.hash);
    out.push_back({{"height", height}, {"hash", block.hash}, {"hex", block.hex}});
  }
  return out;
}

void Run::resolve_blocks() {
  const auto fill = [&](json& c) {
    const std::uint32_t height = c.at("height").get<std::uint32_t>();
    if (!c.contains("prev")) c["prev"] = hashes_.at(height - 1);
    if (c.contains("hash")) return;
    c["hash"] = hashes_.at(height);
    c["txids"] = json::array();
    c["wallet_outputs"] = json::array();
    for (const Transaction& tx : blocks[height]) {
      c["txids"].push_back(txid_of(tx));
      for (std::size_t vout = 0; vout < tx.outputs.size(); ++vout) {
        if (tx.outputs[vout].script != wallet_script_) continue;
        c["wallet_outputs"].push_back({{"outpoint", txid_of(tx) + ":" + std::to_string(vout)},
                                       {"amount_sat", tx.outputs[vout].amount_sat},
                                       {"coinbase", false}});
      }
    }
  };
  each_ledger([&](const std::string& file) {
    for (json& l : files[file]) {
      if (l.value("type", "") == "state" && !l.contains("tip"))
        l["tip"] = hashes_.at(l.at("height").get<std::size_t>());
      if (l.value("type", "") != "entry") continue;
      for (json& c : l["commands"]) {
        if (c.value("command", "") == "block_connected") fill(c);
      }
    }
  });
}

// What a client got was told by its coordinator, half a millisecond before, as its own request.
void Run::tell_answers() {
  std::map<std::uint64_t, std::string> asked;  // op -> coordinator
  std::map<std::uint64_t, std::string> keys;
  for (const json& line : files["history.ndjson"]) {
    if (line.value("type", "") == "invoke") {
      asked[line.at("op")] = line.at("coordinator");
      keys[line.at("op")] = line.at("key");
    }
    if (line.value("type", "") != "answer" || !line.contains("op")) continue;
    const std::uint64_t op = line.at("op"), request = kToldForAnswer + op;
    if (op == 1) continue;  // make_events() has told it
    const std::int64_t t_us = line.at("t_us");
    json told{{"request", request}};
    for (const char* field : {"status", "id", "state", "txid", "problem"})
      told[field] = line.at(field);
    auto& events = files["events.ndjson"];
    const auto again = std::find_if(events.begin(), events.end(), [&](const json& e) {
      return e.value("event", "") == "answered" && e.at("request") == request;
    });
    if (again != events.end()) {  // judged before: only its words may be others now
      again->update(told);
      continue;
    }
    add_event(0, asked.at(op), "request_received",
              {{"request", request}, {"kind", "create"}, {"key", keys.at(op)}});
    events.back()["t_us"] = t_us - 500;
    add_event(0, asked.at(op), "answered", told);
    events.back()["t_us"] = t_us - 500;
  }
}

std::string Run::write() {
  static int number = 0;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("roulette-check-" + std::to_string(getpid()) + "-" + std::to_string(++number));
  std::filesystem::create_directories(folder / "state");
  if (!files.contains("state/chain.ndjson")) files["state/chain.ndjson"] = chain_lines();
  resolve_journals();
  keep_told_heads();
  resolve_blocks();
  if (!keep_answers) tell_answers();
  auto& events = files["events.ndjson"];
  std::stable_sort(events.begin(), events.end(),
                   [](const json& a, const json& b) { return a.at("t_us") < b.at("t_us"); });
  std::map<std::string, std::uint64_t> numbers;
  for (json& e : events) {
    if (e.value("event", "") == "node_height" && !e.contains("hash"))
      e.update({{"hash", hashes_.empty() ? hex_of("no chain") : hashes_.back()}, {"height", 1}});
    if (!e.contains("seq"))
      e["seq"] = ++numbers[e.at("process").get<std::string>() + e.at("boot").get<std::string>()];
  }
  end_history();
  for (const auto& [file, lines] : files) {
    std::ofstream out(folder / file, std::ios::binary);
    std::string format = "roulette-" + std::filesystem::path(file).stem().string();
    if (format.starts_with("roulette-signer-")) format = "roulette-signer-journal";
    if (format.starts_with("roulette-token-")) format = "roulette-token";
    if (format.starts_with("roulette-ledger-")) format = "roulette-ledger";
    const auto header = headers.find(file);
    const int version = format == "roulette-ledger" ? 4 : format == "roulette-history" ? 2 : 1;
    out << (header == headers.end() ? json{{"format", format}, {"version", version}}
                                    : header->second)
               .dump()
        << "\n";
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool lost = file == "events.ndjson" &&
                        std::count(events_to_lose.begin(), events_to_lose.end(), i) > 0;
      if (!lost) out << lines[i].dump() << "\n";
    }
  }
  return folder.string();
}

void Run::take_journal(std::size_t records_left, std::int64_t back_at_ms) {
  experiment.faults[0].recover.how = chaos::RecoverHow::RolledBack;
  facts.schedule_hash = to_hex(chaos::draw_schedule(experiment).hash);
  json& fault = line("faults.ndjson", {{"fault_id", 1}});
  fault.update({{"recover", "rolled-back"}, {"restarted_us", us(double(back_at_ms))}});
  add_event(back_at_ms, "tool-0", "fault",
            {{"fault_id", 1}, {"name", "signer-1"}, {"moment", "restarted"}});
  auto& journal = files["state/signer-1.ndjson"];
  files["state/signer-1.before-1.ndjson"] = journal;
  journal.resize(records_left);
  add_event(back_at_ms + 100, "coordinator-0", "signer_quarantined",
            {{"signer", "signer-1"}, {"reason", "journal-rolled-back"}});
}

// For who judges the same folder by code of his own: what this one said, and of which test.
void Run::keep_judged(const std::string& folder, const Verdict& verdict) const {
  static int number = 0;
  const char* const keep = std::getenv("ROULETTE_KEEP_JUDGED");
  if (keep == nullptr) return;
  const std::filesystem::path to = std::filesystem::path(keep) / std::to_string(number++);
  std::filesystem::copy(folder, to, std::filesystem::copy_options::recursive);
  std::ofstream(to / "verdict.json") << verdict_json(verdict);
  std::ofstream(to / "test") << Catch::getResultCapture().getCurrentTestName();
  const json cluster{{"scheme", experiment.cluster.scheme},
                     {"token_patience_ms", experiment.cluster.token_patience_ms},
                     {"threshold", experiment.cluster.threshold}};
  const json extension{
      {"cluster", cluster},
      {"workload", {{"idempotency", experiment.workload.idempotency ? "keys" : "off"}}},
      {"expect", chaos::expectation_name(experiment.expect)}};
  std::ofstream(to / "experiment.yaml") << json{{"extensions", json::array({extension})}};
  std::ofstream(to / "journal.json") << json{{"format", "roulette-run"},
                                             {"version", 2},
                                             {"schedule_hash", facts.schedule_hash},
                                             {"interrupted", facts.interrupted},
                                             {"unasked_exits", facts.unasked_exits},
                                             {"problems", facts.problems},
                                             {"records", json::object()}};
}

Verdict Run::judged_at(const std::string& folder) const {
  const Result<Verdict> verdict = judge(folder, experiment, facts);
  if (verdict) keep_judged(folder, *verdict);
  std::filesystem::remove_all(folder);
  ROULETTE_ASSERT(verdict.ok());
  return *verdict;
}

Verdict Run::judged() {
  return judged_at(write());
}

const InvariantResult& invariant(const Verdict& verdict, const std::string& id) {
  for (const InvariantResult& result : verdict.invariants) {
    if (result.id == id) return result;
  }
  throw std::logic_error("no invariant " + id);
}

InvariantStatus status_of(const Verdict& verdict, const std::string& id) {
  return invariant(verdict, id).status;
}

bool says(const InvariantResult& result, const std::string& file, const std::string& text) {
  return std::any_of(result.violations.begin(), result.violations.end(), [&](const std::string& v) {
    return v.find(file) != std::string::npos && v.find(text) != std::string::npos;
  });
}

bool has_reason(const Verdict& verdict, const std::string& text) {
  return std::any_of(
      verdict.reasons.begin(), verdict.reasons.end(),
      [&](const std::string& reason) { return reason.find(text) != std::string::npos; });
}

void expect_fail(Run& run, const std::string& id, const std::string& file,
                 const std::string& text) {
  const Verdict verdict = run.judged();
  const InvariantResult& result = invariant(verdict, id);
  std::string found = id + ": " + status_name(result.status) + " " + result.note;
  for (const std::string& violation : result.violations) found += "\n  " + violation;
  INFO(found);
  CHECK(result.status == InvariantStatus::Fail);
  CHECK(says(result, file, text));
  CHECK(verdict.verdict == VerdictKind::Fail);
  CHECK(has_reason(verdict, id));
}

void expect_open(Run& run, const std::string& id, const std::string& why) {
  const Verdict verdict = run.judged();
  const InvariantResult& result = invariant(verdict, id);
  std::string found = id + ": " + status_name(result.status) + " " + result.note;
  for (const std::string& violation : result.violations) found += "\n  " + violation;
  INFO(found);
  CHECK(result.status == InvariantStatus::Inconclusive);
  CHECK(result.note.find(why) != std::string::npos);
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
  CHECK(has_reason(verdict, id));
}

}  // namespace roulette::check::test
