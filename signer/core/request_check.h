// What a sign request says, read once and strictly, and whether the wallet's policy allows it.
//
// Invariant: everything that is signed later is computed here from the transaction itself: txid,
// sighashes (bitcoin/spend.h) and session digest; a request cannot name its own message,
// sighash type or tweak (DESIGN 6.4). Knows no journal, nonces or connections.
#pragma once

#include <cstddef>
#include <optional>
#include <variant>
#include <vector>

#include "signer/core/denied.h"
#include "signer/core/signer.h"

namespace roulette::signer {

struct ReadRequest {
  bitcoin::Transaction tx;
  Hash32 txid{};
  std::vector<Hash32> sighashes;     // one per input: the messages
  std::vector<SignerId> signer_ids;  // ascending
  std::size_t own = 0;               // position in the request's signers
  Hash32 session_digest{};
};

// What every request of one signer is read against.
struct ReadContext {
  SignerId self;
  std::uint16_t n = 0;
  std::uint16_t t = 0;
  Bytes output_key;  // of the scheme's form
  crypto::SchemeFacts scheme;
};

// Sizes, signer set and transaction. A Denied from here has no session digest to go with it.
[[nodiscard]] std::variant<ReadRequest, Denied> read_request(const wire::SignRequest& request,
                                                             const ReadContext& context);

// That a listed client asked for this payment, under the key that the withdrawal's id stands for.
[[nodiscard]] std::optional<Denied> check_client(const wire::SignRequest& request,
                                                 const bitcoin::Transaction& tx,
                                                 const Bytes& wallet_script,
                                                 const wire::ClientList& clients);

// Prevouts, change, amounts and fee.
[[nodiscard]] std::optional<Denied> check_policy(const bitcoin::Transaction& tx,
                                                 const std::vector<bitcoin::TxOut>& prevouts,
                                                 const Policy& policy,
                                                 crypto::SignatureForm form);

}  // namespace roulette::signer
