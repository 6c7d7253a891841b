// Spellings of a withdrawal's states and reject reasons, as the API and the records use them.
//
// Invariant: every enumerator has its own spelling, and none ever changes: tools outside the
// project read them. Parsing the spellings back is nobody's need here.
#include "common/wire/withdrawal.h"

#include "common/base/limits.h"

namespace roulette::wire {

const char* state_name(WithdrawalState state) {
  switch (state) {
    case WithdrawalState::Requested: return "requested";
    case WithdrawalState::Planned: return "planned";
    case WithdrawalState::Signed: return "signed";
    case WithdrawalState::Broadcast: return "broadcast";
    case WithdrawalState::Confirmed: return "confirmed";
    case WithdrawalState::Settled: return "settled";
    case WithdrawalState::Rejected: return "rejected";
  }
  return "unknown";
}

const char* reject_name(RejectReason reason) {
  switch (reason) {
    case RejectReason::None: return "none";
    case RejectReason::InsufficientFunds: return "insufficient-funds";
    case RejectReason::UnknownAccount: return "unknown-account";
    case RejectReason::AmountTooSmall: return "amount-too-small";
    case RejectReason::AmountTooLarge: return "amount-too-large";
    case RejectReason::BadScript: return "bad-script";
  }
  return "unknown";
}

void write_client(CanonicalWriter& w, const std::optional<ClientSignature>& client) {
  w.boolean(client.has_value());
  if (!client) return;
  w.text(client->client);
  w.raw(client->signature);
}

std::optional<ClientSignature> read_client(CanonicalReader& r) {
  if (!r.boolean()) return std::nullopt;
  ClientSignature client;
  client.client = r.text();
  if (client.client.size() > limits::kMaxClientNameBytes) r.fail();
  client.signature = r.array<64>();
  return client;
}

}  // namespace roulette::wire
