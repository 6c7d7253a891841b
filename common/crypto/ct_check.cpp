// The subject of tools/check-constant-time: signings of `frost` and `frost-tr` whose secrets
// valgrind's memcheck believes uninitialised. The arithmetic of the other schemes is not ours:
// `musig2` and `single` are calls of libsecp256k1, which has such tests of its own and takes its
// public points from secrets inside its functions, where nothing can be unmarked; `hsm` has no
// secret in this process.

// Invariant: every secret byte (share, random bytes, hence nonce) is marked before use, and only
// values that the protocol publishes (nonce points, partial signature) are unmarked, after they
// were computed. A branch or an address that depends on a secret is then a memcheck report. Checks
// this machine's build; it says nothing of power or EM.
//
// sign() runs with SelfCheck::Off: the self check handles the finished share, which is public, in
// variable time.
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "common/crypto/dealer.h"
#include "common/crypto/frost.h"
#include "common/crypto/frost_tr.h"
#include "common/crypto/hash.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define ROULETTE_HAVE_MEMCHECK 1
#endif
#endif

namespace {

constexpr int kExitNotChecked = 77;  // also the script's word for "valgrind is missing"

#ifdef ROULETTE_HAVE_MEMCHECK

using namespace roulette;
using namespace roulette::crypto;

// Fixed bytes: the check is about the flow of data, not about its values.
class CountingEntropy final : public EntropySource {
 public:
  void fill(std::span<std::uint8_t> out) override {
    const ByteArray<1> count{++count_};
    const Hash32 block = sha256(count);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = block[i % block.size()];
  }

 private:
  std::uint8_t count_ = 0;
};

void mark_secret(const void* data, std::size_t size) { VALGRIND_MAKE_MEM_UNDEFINED(data, size); }
void mark_public(const void* data, std::size_t size) { VALGRIND_MAKE_MEM_DEFINED(data, size); }

frost::SecNonce secret_nonce(EntropySource& entropy, const frost::SecretShare& share) {
  Secret<32> random;
  entropy.fill(std::span<std::uint8_t>(random.data(), random.size()));
  mark_secret(random.data(), random.size());
  frost::NonceInput input;
  input.share = &share;
  input.signer = share.id();
  input.public_share = share.public_share();
  frost::SecNonce nonce = frost::nonce_gen(std::move(random), input).value();
  mark_public(&nonce.r1(), sizeof nonce.r1());  // R1 and R2 are what a public nonce is
  mark_public(&nonce.r2(), sizeof nonce.r2());
  return nonce;
}

// One round of all signers with secret shares and nonces; true when the signature is good, so that
// the work was real.
bool sign_once(const DealtGroup& dealt, const frost::TweakContext& key, ByteSpan message,
               EntropySource& entropy) {
  const std::vector<SignerId> ids{SignerId(0), SignerId(1), SignerId(2)};
  const auto quorum = frost::Quorum::create(dealt.group, key, ids).value();
  std::vector<frost::SecNonce> nonces;
  std::vector<frost::PubNonce> publics;
  for (const SignerId id : ids) {
    nonces.push_back(secret_nonce(entropy, dealt.shares[id.value()]));
    publics.push_back(nonces.back().public_nonce());
  }
  const auto opened = frost::Session::open(quorum, publics, message).value();
  const auto& session = std::get<frost::Session>(opened);
  std::vector<frost::PartialSig> shares;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto made = frost::sign(std::move(nonces[i]), dealt.shares[i], session, frost::SelfCheck::Off);
    mark_public(made.value().data(), made.value().size());  // the share is what is sent
    shares.push_back(made.value());
  }
  return std::holds_alternative<Signature>(frost::aggregate(session, shares).value());
}

// The same of frost-tr.
bool sign_once_tr(const DealtGroup& dealt, const frost::TweakContext& key, ByteSpan message,
                  EntropySource& entropy) {
  const std::vector<SignerId> ids{SignerId(0), SignerId(1), SignerId(2)};
  const auto quorum = frost::Quorum::create(dealt.group, key, ids).value();
  std::vector<frost::SecNonce> nonces;
  std::vector<frost::PubNonce> publics;
  for (const SignerId id : ids) {
    Secret<32> halves[2];
    for (Secret<32>& half : halves) {
      entropy.fill(std::span<std::uint8_t>(half.data(), half.size()));
      mark_secret(half.data(), half.size());
    }
    nonces.push_back(frost_tr::nonce_gen(std::move(halves[0]), std::move(halves[1]),
                                         dealt.shares[id.value()])
                         .value());
    mark_public(&nonces.back().r1(), sizeof nonces.back().r1());
    mark_public(&nonces.back().r2(), sizeof nonces.back().r2());
    publics.push_back(nonces.back().public_nonce());
  }
  const auto opened = frost_tr::Session::open(quorum, publics, message).value();
  const auto& session = std::get<frost_tr::Session>(opened);
  std::vector<frost::PartialSig> shares;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto made =
        frost_tr::sign(std::move(nonces[i]), dealt.shares[i], session, frost::SelfCheck::Off);
    mark_public(made.value().data(), made.value().size());
    shares.push_back(made.value());
  }
  return std::holds_alternative<Signature>(frost_tr::aggregate(session, shares).value());
}

// What the check must find when it is asked to: a branch on the lowest bit of a share.
void leak(const frost::SecretShare& share) {
  static volatile int sink = 0;
  if ((share.secret().data()[31] & 1) != 0) sink = sink + 1;
}

int check(bool planted_leak) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::fputs("ct_check: run me through tools/check-constant-time\n", stderr);
    return kExitNotChecked;
  }
  CountingEntropy entropy;
  bool odd_seen[2] = {false, false};
  bool good = true;
  // Both parities of Q with and without the taproot tweak; the messages give both parities of R.
  while (!odd_seen[0] || !odd_seen[1]) {
    const DealtGroup dealt = deal(5, 3, entropy).value();
    odd_seen[dealt.group.threshold_key()[0] == 3] = true;
    for (const auto& share : dealt.shares) mark_secret(share.secret().data(), 32);
    for (std::uint8_t message = 0; message < 4; ++message) {
      const auto plain = frost::TweakContext::create(dealt.group.threshold_key()).value();
      const auto taproot = frost::TweakContext::key_path_only(dealt.group.threshold_key()).value();
      for (const auto& key : {plain, taproot}) {
        good = good && sign_once(dealt, key, ByteSpan(&message, 1), entropy) &&
               sign_once_tr(dealt, key, ByteSpan(&message, 1), entropy);
      }
    }
    if (!good) {
      std::fputs("ct_check: a signature is not valid\n", stderr);
      return 1;
    }
    if (planted_leak) leak(dealt.shares[0]);
  }
  return 0;
}

#else

int check(bool) {
  std::fputs("ct_check: built without valgrind/memcheck.h\n", stderr);
  return kExitNotChecked;
}

#endif

}  // namespace

int main(int argc, char** argv) {
  return check(argc > 1 && std::string_view(argv[1]) == "--planted-leak");
}
