// Sealed shares: what opens, and that nothing else does.
#include <catch2/catch.hpp>

#include <string>

#include "common/crypto/sealed_share.h"
#include "tests/unit/crypto_fixture.h"

using namespace roulette;
using namespace roulette::crypto;
using namespace roulette::crypto::test;

namespace {

struct Sealed {
  SeededEntropy entropy{42};
  DealtGroup dealt = deal(3, 2, entropy).value();
  ShareLabel label{SignerId(1), dealt.group.id(), 7};
  Secret<32> key = entropy.secret();
  Bytes file = seal_with_key_file(dealt.shares[1].secret(), label, key, entropy).value();

  std::string refusal(ByteSpan bytes, const ShareLabel& expected) const {
    const auto opened = unseal_with_key_file(bytes, expected, key);
    return opened.ok() ? "opened" : opened.error().message;
  }
};

}  // namespace

TEST_CASE("a share sealed under a key file opens for its signer, group and epoch", "[crypto]") {
  const Sealed s;
  CHECK(s.file.size() == kSealedShareSize);
  CHECK(sealed_protection(s.file).value() == ShareProtection::KeyFile);
  const auto opened = unseal_with_key_file(s.file, s.label, s.key);
  REQUIRE(opened.ok());
  CHECK(public_key(*opened).value() == s.dealt.group.public_shares()[1]);
}

TEST_CASE("a share sealed under a passphrase opens with it and with no other", "[crypto]") {
  Sealed s;
  const auto file =
      seal_with_passphrase(s.dealt.shares[1].secret(), s.label, as_bytes("correct horse"),
                           s.entropy);
  REQUIRE(file.ok());
  CHECK(sealed_protection(*file).value() == ShareProtection::Passphrase);
  const auto opened = unseal_with_passphrase(*file, s.label, as_bytes("correct horse"));
  REQUIRE(opened.ok());
  CHECK(public_key(*opened).value() == s.dealt.group.public_shares()[1]);
  const auto wrong = unseal_with_passphrase(*file, s.label, as_bytes("correct horse "));
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().message == "sealed share: wrong key, or the file was altered");
  CHECK_FALSE(unseal_with_passphrase(*file, s.label, {}).ok());
  CHECK_FALSE(seal_with_passphrase(s.dealt.shares[1].secret(), s.label, {}, s.entropy).ok());
}

TEST_CASE("every altered byte of a sealed share makes it unreadable", "[crypto]") {
  const Sealed s;
  for (std::size_t i = 0; i < s.file.size(); ++i) {
    for (const std::uint8_t flip : {std::uint8_t{1}, std::uint8_t{0x80}}) {
      Bytes altered = s.file;
      altered[i] ^= flip;
      INFO("byte " << i);
      CHECK(s.refusal(altered, s.label) != "opened");
    }
  }
}

TEST_CASE("a label rewritten together with the reader's expectation does not open", "[crypto]") {
  // The attack: an operator mounts signer 2's configuration over signer 1's file and edits its
  // header to match. The comparison then passes; the associated data does not.
  const Sealed s;
  const std::size_t signer_at = 9, group_at = 11, epoch_at = 43;
  const auto forged = [&](std::size_t at, std::size_t width, const ShareLabel& expected) {
    Bytes file = s.file;
    file[at + width - 1] ^= 3;
    return s.refusal(file, expected);
  };
  const std::string altered = "sealed share: wrong key, or the file was altered";
  ShareLabel other = s.label;
  other.signer = SignerId(1 ^ 3);
  CHECK(forged(signer_at, 2, other) == altered);
  other = s.label;
  other.group[31] ^= 3;
  CHECK(forged(group_at, 32, other) == altered);
  other = s.label;
  other.share_epoch ^= 3;
  CHECK(forged(epoch_at, 4, other) == altered);
}

TEST_CASE("each way a sealed share can be the wrong one has its own message", "[crypto]") {
  Sealed s;
  ShareLabel other = s.label;
  other.signer = SignerId(2);
  CHECK(s.refusal(s.file, other) == "sealed share: it belongs to signer 1, not to signer 2");
  other = s.label;
  other.group[0] ^= 1;
  CHECK(s.refusal(s.file, other) == "sealed share: it belongs to another group");
  other = s.label;
  other.share_epoch = 8;
  CHECK(s.refusal(s.file, other) == "sealed share: it is of share epoch 7, not 8");

  const auto wrong_key = unseal_with_key_file(s.file, s.label, s.entropy.secret());
  REQUIRE_FALSE(wrong_key.ok());
  CHECK(wrong_key.error().message == "sealed share: wrong key, or the file was altered");
  const auto as_passphrase = unseal_with_passphrase(s.file, s.label, as_bytes("x"));
  REQUIRE_FALSE(as_passphrase.ok());
  CHECK(as_passphrase.error().message ==
        "sealed share: it is sealed under a key file, not a passphrase");

  Bytes file = s.file;
  file[7] = 2;
  CHECK(s.refusal(file, s.label) == "sealed share: unknown version 2");
  file = s.file;
  file[8] = 9;
  CHECK(s.refusal(file, s.label) == "sealed share: unknown protection 9");
  file = s.file;
  file[0] = 'X';
  CHECK(s.refusal(file, s.label) == "sealed share: this is not a sealed share");
  file = s.file;
  file.push_back(0);
  CHECK(s.refusal(file, s.label) == "sealed share: there are bytes after its end");
}

TEST_CASE("a sealed share cut at any length says that it is truncated", "[crypto]") {
  const Sealed s;
  for (std::size_t size = 0; size < s.file.size(); ++size) {
    CHECK(s.refusal(ByteSpan(s.file).first(size), s.label) ==
          "sealed share: truncated: " + std::to_string(size) + " of 123 bytes");
  }
}

TEST_CASE("two seals of one share share neither salt, nonce nor ciphertext", "[crypto]") {
  Sealed s;
  const Bytes again =
      seal_with_key_file(s.dealt.shares[1].secret(), s.label, s.key, s.entropy).value();
  for (const auto& [from, size] : {std::pair{47, 16}, {63, 12}, {75, 32}, {107, 16}}) {
    CHECK_FALSE(std::equal(again.begin() + from, again.begin() + from + size,
                           s.file.begin() + from));
  }
}
