// See bip340_scheme.h.
#include "common/crypto/bip340_scheme.h"

#include "common/crypto/schnorr.h"

namespace roulette::crypto {
namespace {

class Bip340Scheme final : public Scheme {
 public:
  explicit Bip340Scheme(const SchemeFacts& facts) : facts_(facts) {}
  const SchemeFacts& facts() const override { return facts_; }
  bool verify(ByteSpan wallet_key, ByteSpan message, ByteSpan signature) const override {
    const auto key = to_array<32>(wallet_key);
    const auto bytes = to_array<64>(signature);
    return key && bytes && schnorr_verify(*key, message, *bytes);
  }

 private:
  SchemeFacts facts_;
};

}  // namespace

std::unique_ptr<const Scheme> bip340_scheme(const SchemeFacts& facts) {
  return std::make_unique<const Bip340Scheme>(facts);
}

}  // namespace roulette::crypto
