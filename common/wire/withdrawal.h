// A withdrawal as it is seen from outside the ledger: what coordinators are told, answer from and
// work by.
//
// Invariant: once `planned` is set it never changes, and neither does `signed_tx` (DESIGN 7). These
// are plain values; the rules that produce them live in ledger/core.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/canonical.h"
#include "common/base/ids.h"
#include "common/bitcoin/transaction.h"

namespace roulette::wire {

enum class WithdrawalState : std::uint8_t {
  Requested = 1,
  Planned = 2,
  Signed = 3,
  Broadcast = 4,
  Confirmed = 5,
  Settled = 6,
  Rejected = 7
};
// "requested", "planned", ... as the API and the records spell it.
[[nodiscard]] const char* state_name(WithdrawalState state);

enum class RejectReason : std::uint8_t {
  None = 0,
  InsufficientFunds = 1,
  UnknownAccount = 2,
  AmountTooSmall = 3,
  AmountTooLarge = 4,
  BadScript = 5
};
[[nodiscard]] const char* reject_name(RejectReason reason);  // "insufficient-funds", ...

// The one transaction this withdrawal will ever have.
struct Template {
  Hash32 txid{};                         // internal byte order
  Bytes unsigned_tx;                     // serialized without witness
  std::vector<bitcoin::TxOut> prevouts;  // one per input, in input order
  std::int64_t fee_sat = 0;
  friend bool operator==(const Template&, const Template&) = default;
};

// A client's word for its request: see client_list.h.
struct ClientSignature {
  std::string client;  // its name
  ByteArray<64> signature{};
  friend bool operator==(const ClientSignature&, const ClientSignature&) = default;
};

// Canonical, as log entries, digests and snapshots hold it; a name too long fails the reader.
void write_client(CanonicalWriter& w, const std::optional<ClientSignature>& client);
[[nodiscard]] std::optional<ClientSignature> read_client(CanonicalReader& r);

struct WithdrawalView {
  WithdrawalId id;
  std::string key;  // the client's idempotency key, unquoted
  std::string account;
  Bytes script;  // scriptPubKey paid
  std::int64_t amount_sat = 0;
  Hash32 payload_digest{};  // see payload_digest() in commands.h
  std::optional<ClientSignature> client;  // nothing where clients need not sign
  WithdrawalState state = WithdrawalState::Requested;
  RejectReason reject = RejectReason::None;
  CoordinatorId owner;               // who proposed it: a hint, never a licence
  std::int64_t requested_at_us = 0;  // Unix time stamped by the proposer
  std::optional<Template> planned;
  Bytes signed_tx;              // with witnesses; empty until `signed`
  std::vector<Hash32> parents;  // own unsettled transactions it spends: they are sent first
  std::uint32_t height = 0;     // block height when confirmed, else 0
  friend bool operator==(const WithdrawalView&, const WithdrawalView&) = default;
};

}  // namespace roulette::wire
