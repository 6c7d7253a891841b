// Who may ask for payments, and whether a client did ask for this one.
//
// Invariant: check() says yes only to what a listed client signed: cluster, key, account, script
// and amount, from an account that is the client's, within the account's limit and to an address
// that it allows. Signers, replicas and coordinators hold lists of their own: a coordinator in
// wrong hands can neither add a client nor make up a request. One request is one withdrawal: the id
// follows from the key, and signers bind one transaction to an id (DESIGN 6.3).
// Deliberately ignorant of files (runtime/clients_file.h) and of what was paid before.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/wire/withdrawal.h"

namespace roulette::wire {

// What a client asks for. The signature is over signed_text().
struct PaymentRequest {
  std::string key;  // the idempotency key, unquoted
  std::string account;
  Bytes script;  // scriptPubKey paid
  std::int64_t amount_sat = 0;
};
// Canonical (common/base/canonical.h): texts "roulette/payment-request/1", cluster, client, key and
// account, the script's bytes, the amount as i64.
[[nodiscard]] Bytes signed_text(const std::string& cluster_id, const std::string& client,
                                const PaymentRequest& request);

// The first 16 bytes of SHA-256 over the canonical texts "roulette/withdrawal-id" and the key.
[[nodiscard]] WithdrawalId withdrawal_id_of(const std::string& key);

struct Client {
  std::string name;
  crypto::Ed25519PublicKey public_key{};
  std::set<std::string> accounts;  // it may pay from
};
struct AccountRule {
  std::int64_t max_amount_sat = 0;  // of one withdrawal
  std::optional<std::set<Bytes>> scripts;  // paid to; nothing: any
};

enum class ClientFault : std::uint8_t {
  Unsigned,        // no signature came
  UnknownClient,   // not listed
  BadSignature,    // of another text or key
  ForeignAccount,  // not this client's, or listed nowhere
  AboveLimit,      // more than the account's withdrawals may pay
  ForeignPayee     // an address that the account does not allow
};
struct ClientDenial {
  ClientFault fault = ClientFault::Unsigned;
  std::string detail;
};

class ClientList {
 public:
  using Verify = bool (*)(const crypto::Ed25519PublicKey& key, ByteSpan text, ByteSpan signature);

  // Usage: a name or an account that is empty, twice or too long, a client's account without a
  // rule, a limit out of range.
  [[nodiscard]] static Result<ClientList> make(std::string cluster_id, std::vector<Client> clients,
                                               std::map<std::string, AccountRule> accounts,
                                               Verify verify = crypto::verify_ed25519);

  // Nothing: a client that may do so asked for exactly this.
  [[nodiscard]] std::optional<ClientDenial> check(
      const PaymentRequest& request, const std::optional<ClientSignature>& by) const;
  [[nodiscard]] std::size_t size() const { return clients_.size(); }

 private:
  ClientList() = default;
  std::string cluster_id_;
  std::map<std::string, Client> clients_;
  std::map<std::string, AccountRule> accounts_;
  Verify verify_ = nullptr;
};

}  // namespace roulette::wire
