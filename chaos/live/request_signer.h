// A client of the tool's own: signs the payments that it asks a cluster for.
//
// Invariant: the header field fits one request of one cluster (wire/client_list.h); the key itself
// leaves neither this object nor its 0600 file.
#pragma once

#include <string>
#include <utility>

#include "common/crypto/ed25519.h"
#include "common/wire/client_list.h"

namespace roulette::chaos {

inline constexpr const char* kClientName = "roulette";
inline constexpr const char* kClientKeyFile = "client.pem";  // in secrets/
inline constexpr const char* kClientHeader = "client-signature";

class RequestSigner {
 public:
  RequestSigner(std::string cluster_id, std::string client, std::string key_file,
                crypto::Ed25519Key key)
      : cluster_id_(std::move(cluster_id)),
        client_(std::move(client)),
        key_file_(std::move(key_file)),
        key_(std::move(key)) {}

  // The value of Client-Signature (docs/API.md).
  [[nodiscard]] Result<std::string> header(const wire::PaymentRequest& request) const {
    const auto signature = key_.sign(wire::signed_text(cluster_id_, client_, request));
    if (!signature) return signature.error();
    return "client=" + client_ + ", signature=" + to_hex(*signature);
  }
  [[nodiscard]] const std::string& cluster_id() const { return cluster_id_; }
  [[nodiscard]] const std::string& client() const { return client_; }
  [[nodiscard]] const std::string& key_file() const { return key_file_; }
  [[nodiscard]] const crypto::Ed25519PublicKey& public_key() const { return key_.public_key(); }

 private:
  std::string cluster_id_;
  std::string client_;
  std::string key_file_;
  crypto::Ed25519Key key_;
};

}  // namespace roulette::chaos
