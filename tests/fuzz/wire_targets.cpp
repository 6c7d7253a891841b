// Binary decoders: see targets.h.
#include "common/base/assert.h"
#include "common/bitcoin/chain_facts.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/hash.h"
#include "common/crypto/schnorr.h"
#include "common/runtime/frames.h"
#include "common/wire/codec.h"
#include "common/wire/commands.h"
#include "ledger/core/snapshot.h"
#include "ledger/core/state.h"
#include "signer/core/signer.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/wire_samples.h"

namespace roulette::fuzz {
namespace {

using wire::samples::Draw;

constexpr std::uint64_t kSeeds = 64;
constexpr std::size_t kMostSeedBytes = 4096;  // longer ones slow a fuzzer down and add nothing

template <class Make>
std::vector<Bytes> drawn(const Make& make) {
  std::vector<Bytes> out;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Draw draw(seed);
    Bytes bytes = make(draw, seed);
    if (bytes.size() <= kMostSeedBytes) out.push_back(std::move(bytes));
  }
  return out;
}

// ---- frames ----

Bytes framed(ByteSpan payload) {
  Bytes out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(payload.size() >> shift));
  append(out, payload);
  return out;
}

void cut_frames(ByteSpan in) {
  std::size_t used = 0;
  for (;;) {
    const auto next = runtime::next_frame(in.subspan(used), 1 << 16);
    if (next.state != runtime::FrameState::Whole) return;
    ROULETTE_ASSERT(next.payload.data() == in.data() + used + 4);
    used += 4 + next.payload.size();
    ROULETTE_ASSERT(used <= in.size());
  }
}

// ---- messages, commands, records ----

// Protobuf spells a value in many ways, so the value must survive, not the bytes.
void decode_envelope(ByteSpan in) {
  const auto message = wire::decode_message(in);
  if (!message) return;
  const auto again = wire::decode_message(wire::encode_message(*message));
  ROULETTE_ASSERT(again.ok() && *again == *message);
}

template <class Decode, class Encode>
void canonical(ByteSpan in, const Decode& decode, const Encode& encode) {
  const auto value = decode(in);
  if (!value) return;
  const Bytes out = encode(*value);
  ROULETTE_ASSERT(std::equal(out.begin(), out.end(), in.begin(), in.end()));
}

Bytes sample_record(Draw& draw, std::uint64_t seed) {
  if (seed % 3 == 0) {
    signer::ImportedBinding binding{WithdrawalId(draw.array<16>()), draw.array<32>(),
                                    draw.array<32>(), {}};
    return signer::encode_record(binding);
  }
  signer::SigningRecord record;
  record.session_digest = draw.array<32>();
  for (std::uint64_t i = 0; i < seed % 4; ++i)
    record.own_nonces.push_back(*wire::PubNonce::from(draw.array<66>()));
  record.withdrawal_id = WithdrawalId(draw.array<16>());
  record.payload_digest = draw.array<32>();
  record.txid = draw.array<32>();
  return signer::encode_record(record);
}

// ---- the ledger's state ----

wire::Genesis genesis() {
  wire::Genesis out;
  out.cluster_id = "fuzz";
  const Secret<32> secret(crypto::sha256(as_bytes("the wallet's key")));
  const auto key = crypto::public_key(secret);
  ROULETTE_ASSERT(key.ok());
  const ByteArray<32> output = crypto::xonly(*key);
  out.wallet_output_key = *crypto::WalletKey::from(output);
  out.wallet_script = bitcoin::p2tr_script(output);
  out.accounts = {"alice", "bob"};
  out.anchor_block = crypto::sha256(as_bytes("anchor"));
  return out;
}

wire::Command command(std::uint64_t counter, wire::CommandBody body) {
  return {{{Role::Coordinator, 0}, BootId(ByteArray<16>{1}), counter}, std::move(body)};
}

// A wallet of two coins, and payments that are planned, wait and are refused.
std::vector<wire::Command> story() {
  std::vector<wire::Command> out{command(1, genesis())};
  wire::BlockConnected block;
  block.hash = crypto::sha256(as_bytes("block 1"));
  block.prev = genesis().anchor_block;
  block.height = 1;
  block.txids = {crypto::sha256(as_bytes("deposit"))};
  for (std::uint32_t vout = 0; vout < 2; ++vout)
    block.wallet_outputs.push_back({{block.txids[0], vout}, 5'000'000, false});
  out.push_back(command(2, block));
  for (std::uint64_t i = 0; i < 4; ++i) {
    wire::Withdraw withdraw;
    withdraw.key = "key-" + std::to_string(i);
    withdraw.id = wire::withdrawal_id_of(withdraw.key);
    withdraw.account = i % 2 == 0 ? "alice" : "bob";
    withdraw.script = bitcoin::p2tr_script(crypto::sha256(as_bytes(withdraw.key)));
    withdraw.amount_sat = i == 3 ? 1 : 50'000;
    withdraw.payload_digest =
        wire::payload_digest(withdraw.account, withdraw.script, withdraw.amount_sat);
    out.push_back(command(3 + i, withdraw));
  }
  return out;
}

std::vector<Bytes> state_seeds() {
  std::vector<Bytes> out;
  ledger::State state;
  for (const wire::Command& one : story()) {
    (void)state.apply(one);
    out.push_back(state.encode());
  }
  return out;
}

void decode_state(ByteSpan in) {
  canonical(in, [](ByteSpan b) { return ledger::State::decode(b); },
            [](const ledger::State& state) { return state.encode(); });
}

// Whatever a log holds is applied or refused; the state that comes of it can be kept and goes on.
void apply_batch(ByteSpan in) {
  const auto batch = wire::decode_batch(in);
  if (!batch) return;
  ledger::State state;
  for (const wire::Command& one : story()) (void)state.apply(one);
  for (const wire::Command& one : *batch) (void)state.apply(one);
  const auto kept = ledger::State::decode(state.encode());
  ROULETTE_ASSERT(kept.ok() && kept->digest() == state.digest());
  std::int64_t sum = 0;
  for (const wire::Balance& line : state.balances()) sum += line.amount_sat;
  ROULETTE_ASSERT(sum == 0);
}

Bytes sample_manifest(Draw& draw, std::uint64_t) {
  return ledger::encode_manifest(ledger::make_manifest(
      "fuzz", draw.bits(), draw.array<32>(), ledger::cut_into_chunks(draw.bytes(200), 64)));
}

// ---- what a node says ----

std::vector<Bytes> transaction_seeds() {
  bitcoin::Transaction tx;
  tx.inputs.push_back({{crypto::sha256(as_bytes("a coin")), 1}, {}, bitcoin::kSequenceFinal, {}});
  tx.outputs.push_back({50'000, bitcoin::p2tr_script(crypto::sha256(as_bytes("a payee")))});
  std::vector<Bytes> out{bitcoin::serialize(tx)};
  tx.inputs[0].witness = {Bytes(64, 7)};
  out.push_back(bitcoin::serialize(tx));
  return out;
}

std::vector<Bytes> block_seeds() {
  std::vector<Bytes> out;
  for (const Bytes& tx : transaction_seeds()) {
    Bytes block(80, 3);
    block.push_back(1);
    append(block, tx);
    out.push_back(std::move(block));
  }
  return out;
}

}  // namespace

std::vector<Target> wire_targets() {
  return {
      {"frame",
       [] {
         return drawn([](Draw& d, std::uint64_t) { return framed(d.bytes(100)); });
       },
       cut_frames},
      {"envelope",
       [] {
         return drawn([](Draw& d, std::uint64_t seed) {
           return wire::encode_message(
               wire::samples::message(d, seed % std::variant_size_v<wire::Message>));
         });
       },
       decode_envelope},
      {"command",
       [] {
         return drawn([](Draw& d, std::uint64_t seed) {
           return wire::encode_command(
               wire::samples::command(d, seed % std::variant_size_v<wire::CommandBody>));
         });
       },
       [](ByteSpan in) { canonical(in, wire::decode_command, wire::encode_command); }},
      {"batch",
       [] {
         std::vector<Bytes> out = drawn([](Draw& d, std::uint64_t) {
           return wire::encode_batch({wire::samples::command(d), wire::samples::command(d)});
         });
         out.push_back(wire::encode_batch(story()));
         return out;
       },
       apply_batch},
      {"snapshot", state_seeds, decode_state},
      {"manifest", [] { return drawn(sample_manifest); },
       [](ByteSpan in) { canonical(in, ledger::decode_manifest, ledger::encode_manifest); }},
      {"journal-record", [] { return drawn(sample_record); },
       [](ByteSpan in) { canonical(in, signer::decode_record, signer::encode_record); }},
      {"transaction", transaction_seeds,
       [](ByteSpan in) { canonical(in, bitcoin::parse_transaction, bitcoin::serialize); }},
      {"block", block_seeds, [](ByteSpan in) { (void)bitcoin::parse_block(in); }},
  };
}

}  // namespace roulette::fuzz
