// See run_identity.h.
#include "chaos/live/run_identity.h"

namespace roulette::chaos {
namespace {

Error not_signed(const char* what) {
  return Error{ErrorKind::Internal, std::string("the run's identity: ") + what};
}

std::vector<ByteSpan> views(const std::vector<Bytes>& bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace

Result<Bytes> RunIdentity::sign(const Hash32& message, EntropySource& entropy) const {
  const std::size_t t = group_->t();
  if (shares_.size() < t) return not_signed("too few shares");
  std::vector<SignerId> ids;
  std::vector<crypto::SecretNonce> nonces;
  std::vector<Bytes> public_nonces;
  for (std::size_t i = 0; i < t; ++i) {
    ids.push_back(shares_[i]->id());
    Result<crypto::SecretNonce> nonce =
        group_->scheme().facts().nonce_size == 0
            ? Result<crypto::SecretNonce>(crypto::SecretNonce())
            : shares_[i]->make_nonce(entropy, *group_, as_bytes("run identity"));
    if (!nonce) return nonce.error();
    public_nonces.push_back(nonce->public_nonce());
    nonces.push_back(std::move(nonce).value());
  }
  const auto set = group_->signer_set(ids);
  if (!set) return set.error();
  auto opened = (*set)->open(views(public_nonces), message);
  if (!opened) return opened.error();
  const auto* session = std::get_if<crypto::SigningSessionPtr>(&*opened);
  if (session == nullptr) return not_signed("a nonce of our own is refused");
  std::vector<Bytes> made;
  for (std::size_t i = 0; i < t; ++i) {
    Result<Bytes> share = shares_[i]->sign(std::move(nonces[i]), **session);
    if (!share) return share.error();
    made.push_back(std::move(share).value());
  }
  auto aggregated = (*session)->aggregate(views(made));
  if (!aggregated) return aggregated.error();
  auto* signature = std::get_if<Bytes>(&*aggregated);
  if (signature == nullptr) return not_signed("a share of our own is refused");
  return std::move(*signature);
}

}  // namespace roulette::chaos
