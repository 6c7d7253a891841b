// Values of every message and command, drawn from a seed, and a writer for hostile protobuf bytes.
//
// Invariant: one seed draws one value, on every machine (no std::*_distribution); every field takes
// values at and between its bounds. Values are well-formed, not meaningful: signatures here sign
// nothing.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/messages.h"

namespace roulette::wire::samples {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {  // splitmix64
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }
  bool flag() { return (bits() & 1) != 0; }
  // 0, 1, the largest, or anything.
  template <class Int>
  Int number() {
    switch (below(4)) {
      case 0: return 0;
      case 1: return 1;
      case 2: return static_cast<Int>(~std::uint64_t{0});
      default: return static_cast<Int>(bits());
    }
  }
  template <std::size_t N>
  ByteArray<N> array() {
    ByteArray<N> out{};
    for (auto& byte : out) byte = static_cast<std::uint8_t>(bits());
    return out;
  }
  // Usually small, sometimes empty, sometimes exactly `most`.
  std::size_t length(std::size_t most, std::size_t usual) {
    switch (below(12)) {
      case 0: return 0;
      case 1: return most;
      default: return 1 + below(std::min(most, usual));
    }
  }
  Bytes bytes(std::size_t most) {
    Bytes out(length(most, 40));
    for (auto& byte : out) byte = static_cast<std::uint8_t>(bits());
    return out;
  }
  std::string octets(std::size_t most) {  // any byte, also 0 and invalid UTF-8
    const Bytes drawn = bytes(most);
    return std::string(drawn.begin(), drawn.end());
  }
  std::string human() {
    std::string out(length(limits::kMaxDetailBytes, 30), ' ');
    for (char& c : out) c = static_cast<char>(0x20 + below(0x5f));
    return out;
  }
  template <class Element, class Make>
  std::vector<Element> list(std::size_t most, std::size_t usual, Make make) {
    std::vector<Element> out(length(most, usual));
    for (Element& element : out) element = make();
    return out;
  }
  template <std::size_t N>
  std::vector<ByteArray<N>> arrays(std::size_t most) {
    return list<ByteArray<N>>(most, 3, [this] { return array<N>(); });
  }
  template <class Element>  // of any size that it may have
  std::vector<Element> bounded(std::size_t most) {
    return list<Element>(most, 3, [this] { return *Element::from(bytes(Element::kMostBytes)); });
  }
  template <class Enum>
  Enum one_of(Enum first, Enum last) {
    const auto low = static_cast<std::size_t>(first);
    return static_cast<Enum>(low + below(static_cast<std::size_t>(last) - low + 1));
  }

 private:
  std::uint64_t state_;
};

inline bitcoin::TxOut tx_out(Draw& d) {
  return {d.number<std::int64_t>(), d.bytes(limits::kMaxScriptBytes)};
}

inline std::optional<ClientSignature> maybe_client(Draw& d) {
  if (!d.flag()) return std::nullopt;
  return ClientSignature{d.octets(limits::kMaxClientNameBytes), d.array<64>()};
}

inline JournalHead journal_head(Draw& d) {
  return {SignerId(d.number<std::uint16_t>()), d.number<std::uint64_t>(), d.array<32>(),
          d.number<std::uint32_t>()};
}

inline CommandBody command_body(Draw& d, std::size_t alternative) {
  switch (alternative) {
    case 0: {
      Genesis v;
      v.cluster_id = d.octets(limits::kMaxClusterIdBytes);
      v.wallet_script = d.bytes(limits::kMaxScriptBytes);
      v.signature_form = d.one_of(crypto::SignatureForm::Bip340, crypto::SignatureForm::Ecdsa);
      v.wallet_output_key = *crypto::WalletKey::from(d.bytes(limits::kMaxWalletKeyBytes));
      v.accounts = d.list<std::string>(limits::kMaxAccounts, 4, [&] {
        return d.octets(limits::kMaxAccountNameBytes);
      });
      v.fee_rate_sat_per_vb = d.number<std::int64_t>();
      v.withdrawal_fee_sat = d.number<std::int64_t>();
      v.min_amount_sat = d.number<std::int64_t>();
      v.max_amount_sat = d.number<std::int64_t>();
      v.settle_depth = d.number<std::uint32_t>();
      v.anchor_block = d.array<32>();
      return v;
    }
    case 1: {
      Withdraw v;
      v.id = WithdrawalId(d.array<16>());
      v.key = d.octets(limits::kMaxIdempotencyKeyBytes);
      v.account = d.octets(limits::kMaxAccountNameBytes);
      v.script = d.bytes(limits::kMaxScriptBytes);
      v.amount_sat = d.number<std::int64_t>();
      v.payload_digest = d.array<32>();
      v.owner = CoordinatorId(d.number<std::uint16_t>());
      v.requested_at_us = d.number<std::int64_t>();
      v.client = maybe_client(d);
      return v;
    }
    case 2: {
      Signed v;
      v.withdrawal_id = WithdrawalId(d.array<16>());
      v.txid = d.array<32>();
      v.signatures = d.bounded<crypto::WalletSignature>(limits::kMaxInputsPerTransaction);
      v.journals = d.list<JournalHead>(limits::kMaxSigners, 4, [&] {
        return journal_head(d);
      });
      v.by = CoordinatorId(d.number<std::uint16_t>());
      return v;
    }
    case 3: return Broadcast{WithdrawalId(d.array<16>()), d.array<32>()};
    case 4: {
      BlockConnected v;
      v.hash = d.array<32>();
      v.prev = d.array<32>();
      v.height = d.number<std::uint32_t>();
      v.txids = d.arrays<32>(200);
      if (v.txids.empty()) return v;
      v.wallet_outputs = d.list<WalletOutput>(100, 3, [&] {
        return WalletOutput{{v.txids[d.below(v.txids.size())], d.number<std::uint32_t>()},
                            d.number<std::int64_t>(), d.flag()};
      });
      return v;
    }
    case 5: return BlockDisconnected{d.array<32>()};
    case 6:
      return Checkpoint{LedgerId(d.number<std::uint16_t>()), d.number<std::uint64_t>(),
                        d.array<32>()};
    default: return EndOfRun{};
  }
}

inline Command command(Draw& d, std::size_t alternative) {
  Command v;
  v.id.proposer = {d.one_of(Role::Signer, Role::Tool), d.number<std::uint16_t>()};
  v.id.boot = BootId(d.array<16>());
  v.id.counter = d.number<std::uint64_t>();
  v.body = command_body(d, alternative);
  return v;
}

inline Command command(Draw& d) { return command(d, d.below(std::variant_size_v<CommandBody>)); }

inline WithdrawalView view(Draw& d) {
  WithdrawalView v;
  v.id = WithdrawalId(d.array<16>());
  v.key = d.octets(limits::kMaxIdempotencyKeyBytes);
  v.account = d.octets(limits::kMaxAccountNameBytes);
  v.script = d.bytes(64);
  v.amount_sat = d.number<std::int64_t>();
  v.payload_digest = d.array<32>();
  v.state = d.one_of(WithdrawalState::Requested, WithdrawalState::Rejected);
  v.reject = d.one_of(RejectReason::None, RejectReason::BadScript);
  v.owner = CoordinatorId(d.number<std::uint16_t>());
  v.requested_at_us = d.number<std::int64_t>();
  v.client = maybe_client(d);
  if (d.flag()) {
    v.planned = Template{d.array<32>(), d.bytes(400),
                         d.list<bitcoin::TxOut>(limits::kMaxInputsPerTransaction, 3, [&] {
                           return bitcoin::TxOut{d.number<std::int64_t>(), d.bytes(64)};
                         }),
                         d.number<std::int64_t>()};
  }
  v.signed_tx = d.bytes(400);
  v.parents = d.arrays<32>(limits::kMaxUnsettledAncestors);
  v.height = d.number<std::uint32_t>();
  return v;
}

inline std::optional<WithdrawalView> maybe_view(Draw& d) {
  if (d.flag()) return view(d);
  return std::nullopt;
}

inline SignRequest sign_request(Draw& d) {
  SignRequest v;
  v.withdrawal_id = WithdrawalId(d.array<16>());
  v.payload_digest = d.array<32>();
  v.unsigned_tx = d.bytes(limits::kMaxTransactionBytes);
  v.prevouts = d.list<bitcoin::TxOut>(limits::kMaxInputsPerTransaction, 3,
                                      [&] { return tx_out(d); });
  v.signers = d.list<SessionSigner>(limits::kMaxSigners, 4, [&] {
    return SessionSigner{SignerId(d.number<std::uint16_t>()), BootId(d.array<16>()),
                         d.bounded<PubNonce>(limits::kMaxInputsPerTransaction)};
  });
  v.group = d.array<32>();
  if (const auto by = maybe_client(d))
    v.client = ClientRequest{d.octets(limits::kMaxIdempotencyKeyBytes),
                             d.octets(limits::kMaxAccountNameBytes), *by};
  return v;
}

inline Outcome outcome(Draw& d) {
  Outcome v;
  v.kind = d.one_of(OutcomeKind::Applied, OutcomeKind::Closed);
  v.detail = d.human();
  if (d.flag()) v.withdrawal = WithdrawalId(d.array<16>());
  return v;
}

inline WithdrawalState any_state(Draw& d) {
  return d.one_of(WithdrawalState::Requested, WithdrawalState::Rejected);
}

inline PageFrom page_from(Draw& d) {
  PageFrom v{d.number<std::uint64_t>(), std::nullopt};
  if (d.flag()) v.deposit = bitcoin::OutPoint{d.array<32>(), d.number<std::uint32_t>()};
  return v;
}

inline QueryPage query_page(Draw& d) {
  QueryPage v;
  v.kind = d.one_of(PageKind::Accounts, PageKind::Entries);
  v.accounts = d.list<std::string>(limits::kMaxAccounts, 3,
                                   [&] { return d.octets(limits::kMaxAccountNameBytes); });
  if (d.flag()) v.state = any_state(d);
  if (d.flag()) v.requested_after_us = d.number<std::int64_t>();
  if (d.flag()) v.requested_before_us = d.number<std::int64_t>();
  v.from = page_from(d);
  v.limit = static_cast<std::uint32_t>(d.below(limits::kMaxPageItems + 1));
  return v;
}

inline Page page(Draw& d) {
  Page v;
  v.accounts = d.list<AccountView>(limits::kMaxAccounts, 3, [&] {
    return AccountView{d.octets(limits::kMaxAccountNameBytes), d.number<std::int64_t>(),
                       d.number<std::int64_t>()};
  });
  v.deposits = d.list<DepositView>(limits::kMaxPageItems, 3, [&] {
    return DepositView{{d.array<32>(), d.number<std::uint32_t>()}, d.number<std::int64_t>(),
                       d.octets(limits::kMaxAccountNameBytes), d.flag(), d.flag(),
                       d.number<std::uint32_t>(), d.number<std::uint32_t>()};
  });
  v.entries = d.list<EntryView>(limits::kMaxPageItems, 3, [&] {
    EntryView entry{d.number<std::int64_t>(), std::nullopt, std::nullopt};
    if (d.flag())
      entry.deposit = bitcoin::OutPoint{d.array<32>(), d.number<std::uint32_t>()};
    else
      entry.withdrawal = WithdrawalId(d.array<16>());
    return entry;
  });
  if (d.flag()) v.withdrawals = {view(d)};
  if (d.flag()) v.next = page_from(d);
  return v;
}

inline Message message(Draw& d, std::size_t alternative) {
  switch (alternative) {
    case 0:
      return Hello{d.number<std::uint16_t>(), d.number<std::uint16_t>(),
                   {d.one_of(Role::Signer, Role::Tool), d.number<std::uint16_t>()},
                   BootId(d.array<16>())};
    case 1: return SignerPing{d.number<std::uint64_t>()};
    case 2: return NonceRequest{d.number<std::uint32_t>()};
    case 3: return sign_request(d);
    case 4:
      return SignerStatus{d.number<std::uint64_t>(), BootId(d.array<16>()),
                          d.number<std::uint32_t>(), d.number<std::uint64_t>(), d.array<32>(),
                          d.flag(), d.one_of(JournalStanding::Unchecked, JournalStanding::Forked),
                          d.array<32>(), d.flag()};
    case 5: return NonceBatch{BootId(d.array<16>()),
                              d.bounded<PubNonce>(limits::kNoncePoolPerConnection)};
    case 6:
      return SignResponse{d.array<32>(),
                          d.bounded<PartialSignature>(limits::kMaxInputsPerTransaction),
                          d.bounded<PubNonce>(limits::kNoncePoolPerConnection),
                          d.number<std::uint64_t>(), d.array<32>(), d.number<std::uint32_t>()};
    case 7: {
      SignRefusal v{d.array<32>(),
                    d.one_of(RefusalReason::StaleEpoch, RefusalReason::KeyUnavailable),
                    d.human(), std::nullopt};
      if (d.flag()) v.blamed = SignerId(d.number<std::uint16_t>());
      return v;
    }
    case 8: return LedgerSubmit{d.number<std::uint64_t>(), command(d)};
    case 9: {
      LedgerQuery v{d.number<std::uint64_t>(), QueryBalances{}};
      if (d.flag()) {
        v.query = QueryById{WithdrawalId(d.array<16>())};
      } else if (d.flag()) {
        v.query = QueryByKey{d.octets(limits::kMaxIdempotencyKeyBytes)};
      } else if (d.flag()) {
        v.query = QueryJournals{};
      } else if (d.flag()) {
        v.query = query_page(d);
      } else if (d.flag()) {
        v.query = QueryEvents{WithdrawalId(d.array<16>())};
      }
      return v;
    }
    case 10: return LedgerFollow{};
    case 11: return LedgerStatus{d.flag(), d.number<std::uint64_t>(), d.human()};
    case 12:
      return LedgerApplied{d.number<std::uint64_t>(), d.number<std::uint64_t>(), outcome(d),
                           maybe_view(d)};
    case 13:
      return LedgerAnswer{d.number<std::uint64_t>(), d.number<std::uint64_t>(), d.flag(),
                          maybe_view(d), d.list<Balance>(limits::kMaxAccounts + 4, 4, [&] {
                            return Balance{d.octets(limits::kMaxAccountNameBytes + 9),
                                           d.number<std::int64_t>()};
                          }),
                          d.list<JournalHead>(limits::kMaxSigners, 3,
                                              [&] { return journal_head(d); }),
                          page(d),
                          d.list<WithdrawalEvent>(limits::kMaxEventsKept, 3, [&] {
                            return WithdrawalEvent{any_state(d), d.flag(),
                                                   d.number<std::uint64_t>(),
                                                   d.number<std::uint32_t>()};
                          })};
    case 14:
      return LedgerFeed{d.number<std::uint64_t>(),
                        {d.array<32>(), d.number<std::uint32_t>()},
                        d.flag(), d.flag(), d.flag(),
                        d.list<WithdrawalView>(limits::kMaxFeedViewsPerFrame, 3,
                                               [&] { return view(d); })};
    case 15: return CoordinatorHeartbeat{d.number<std::uint64_t>(), d.flag()};
    case 16:
      return LedgerForward{d.list<Command>(16, 4, [&] { return command(d); })};
    case 18:
      return JournalCheck{d.number<std::uint32_t>(), d.number<std::uint64_t>(), d.array<32>()};
    case 19:
      return JournalAnswer{d.number<std::uint32_t>(), d.number<std::uint64_t>(),
                           d.one_of(JournalStanding::Holds, JournalStanding::Forked)};
    default: return LedgerHeartbeat{d.number<std::uint64_t>(), d.flag()};
  }
}

// Protobuf's wire format by hand, so that hostile bytes do not pass through the code under test.
class RawProto {
 public:
  RawProto& varint(std::uint32_t field, std::uint64_t value) {
    raw_varint(std::uint64_t{field} << 3);
    raw_varint(value);
    return *this;
  }
  RawProto& bytes(std::uint32_t field, ByteSpan value) {
    raw_varint(std::uint64_t{field} << 3 | 2);
    raw_varint(value.size());
    append(out_, value);
    return *this;
  }
  RawProto& message(std::uint32_t field, const RawProto& value) {
    return bytes(field, value.view());
  }
  [[nodiscard]] const Bytes& view() const { return out_; }

 private:
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<std::uint8_t>(value | 0x80));
    out_.push_back(static_cast<std::uint8_t>(value));
  }
  Bytes out_;
};

}  // namespace roulette::wire::samples
