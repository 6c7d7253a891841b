// Hashes, single keys and taproot tweaks, with published values as literals so that a plain
// checkout tests something.
#include <catch2/catch.hpp>

#include "common/crypto/hash.h"
#include "common/crypto/schnorr.h"
#include "common/crypto/taproot.h"
#include "tests/unit/crypto_fixture.h"

using namespace roulette;
using namespace roulette::crypto;
using namespace roulette::crypto::test;

namespace {

template <std::size_t N>
ByteArray<N> bytes(std::string_view hex) {
  return array_from_hex<N>(hex).value();
}

Secret<32> secret(std::string_view hex) {
  const auto raw = bytes<32>(hex);
  return Secret<32>(std::span<const std::uint8_t, 32>(raw));
}

}  // namespace

TEST_CASE("SHA-256 gives the published digests", "[crypto]") {
  CHECK(to_hex(sha256({})) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256(as_bytes("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256d(as_bytes("abc")) == sha256(sha256(as_bytes("abc"))));
}

TEST_CASE("hashing in pieces equals hashing at once, also between other hashes", "[crypto]") {
  const Tag tag("some tag");
  const Hash32 tag_hash = sha256(as_bytes("some tag"));
  Bytes plain(tag_hash.begin(), tag_hash.end());
  append(plain, tag_hash);
  append(plain, as_bytes("hello"));
  CHECK(tagged_hash(tag, as_bytes("hello")) == sha256(plain));
  Sha256 pieces(tag);
  pieces.update(as_bytes("he"));
  CHECK(tagged_hash("some tag", as_bytes("hello")) == sha256(plain));
  CHECK(pieces.update(as_bytes("llo")).finish() == sha256(plain));
  const Bytes integers{9, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4};
  CHECK(Sha256().update_u8(9).update_u32(0x102).update_u64(0x304).finish() == sha256(integers));
}

TEST_CASE("BIP 340 vectors 0 and 1 sign and verify", "[crypto]") {
  const auto aux0 = ByteArray<32>{};
  const auto key0 = secret("0000000000000000000000000000000000000000000000000000000000000003");
  const auto pub0 =
      bytes<32>("f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9");
  const auto signature0 = bytes<64>(
      "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
      "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0");
  CHECK(xonly(public_key(key0).value()) == pub0);
  CHECK(schnorr_sign(key0, Hash32{}, aux0).value() == signature0);
  CHECK(schnorr_verify(pub0, Hash32{}, signature0));
  auto altered = signature0;
  altered[63] ^= 1;
  CHECK_FALSE(schnorr_verify(pub0, Hash32{}, altered));
}

TEST_CASE("a secret key out of range is refused", "[crypto]") {
  const auto order = secret("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
  CHECK_FALSE(public_key(order).ok());
  CHECK_FALSE(public_key(Secret<32>()).ok());
  CHECK_FALSE(schnorr_sign(order, Hash32{}, {}).ok());
  CHECK_FALSE(frost::SecretShare::create(SignerId(0), order.clone()).ok());
  CHECK_FALSE(frost::SecretShare::create(SignerId(0), Secret<32>()).ok());
}

TEST_CASE("points off the curve are told from points on it", "[crypto]") {
  const auto x = bytes<32>("f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9");
  CHECK(is_xonly_point(x));
  CHECK_FALSE(is_xonly_point(
      bytes<32>("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34")));
  PubKey33 key{};
  key[0] = 2;
  std::copy(x.begin(), x.end(), key.begin() + 1);
  CHECK(is_point(key));
  key[0] = 4;
  CHECK_FALSE(is_point(key));
}

TEST_CASE("the first wallet vector of BIP 341 gives its output key", "[crypto]") {
  const auto internal =
      bytes<32>("d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d");
  const auto output = output_key(internal).value();
  CHECK(to_hex(output.tweak) ==
        "b86e7be8f39bab32a6f2c0443abbc210f0edac0e2c53d501b36b64437d9c6c70");
  CHECK(to_hex(output.key) == "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343");
  CHECK_FALSE(output_key(
      bytes<32>("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34")).ok());
}

TEST_CASE("the output secret signs for the output key, for odd and even keys", "[crypto]") {
  SeededEntropy entropy(3);
  bool seen[2] = {false, false};
  for (int i = 0; i < 12; ++i) {
    const Secret<32> key = entropy.secret();
    const PubKey33 own = public_key(key).value();
    seen[own[0] == 3] = true;
    const Hash32 message = sha256(own);
    for (const auto& root : {std::optional<Hash32>{}, std::optional<Hash32>{message}}) {
      const auto signature = schnorr_sign(output_secret(key, root).value(), message, {}).value();
      CHECK(schnorr_verify(output_key(xonly(own), root).value().key, message, signature));
    }
  }
  CHECK((seen[0] && seen[1]));
}

TEST_CASE("randomizing the context changes no signature", "[crypto]") {
  SeededEntropy entropy(2);
  const Secret<32> key = entropy.secret();
  const auto before = schnorr_sign(key, as_bytes("m"), {}).value();
  randomize_context(entropy.secret());
  CHECK(schnorr_sign(key, as_bytes("m"), {}).value() == before);
}
