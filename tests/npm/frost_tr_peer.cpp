// Our side of a mixed frost-tr session: one JSON question a line on stdin, one answer a line on
// stdout. Started by frost_interop_test.mjs, whose other signers are @noble/curves'.
//
// Invariant: secrets of nonces stay in this process and are used up by the share that they make; a
// question that cannot be answered ends the process with its reason on stderr. For tests: it signs
// whatever it is asked.
#include <iostream>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "common/base/assert.h"
#include "common/crypto/dealer.h"
#include "common/crypto/frost_tr.h"
#include "common/crypto/hash.h"

namespace {

using namespace roulette;
using namespace roulette::crypto;
using nlohmann::json;

class CountingEntropy final : public EntropySource {
 public:
  void seed(std::uint64_t seed) { state_ = sha256(as_bytes(std::to_string(seed))); }
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) {
      state_ = sha256(state_);
      byte = state_[0];
    }
  }

 private:
  Hash32 state_{};
};

template <std::size_t N>
ByteArray<N> bytes_of(const json& hex) {
  const auto bytes = from_hex(hex.get<std::string>());
  const auto array = bytes ? to_array<N>(*bytes) : std::nullopt;
  if (!array) throw std::runtime_error("not " + std::to_string(N) + " bytes: " + hex.dump());
  return *array;
}
template <class T>
T good(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
SignerId id_of(const std::string& text) {
  return SignerId(static_cast<std::uint16_t>(std::stoi(text)));
}

class Peer {
 public:
  json answer(const json& asked) {
    const std::string what = asked.at("ask");
    if (what == "deal") return deal_group(asked);
    if (what == "group") return take_group(asked);
    if (what == "nonce") return make_nonce(id_of(asked.at("signer")));
    if (what == "share") return make_share(asked);
    if (what == "verify") return verify(asked);
    if (what == "aggregate") return add_up(asked);
    throw std::runtime_error("unknown question " + what);
  }

 private:
  json deal_group(const json& asked) {
    entropy_.seed(asked.at("seed"));
    const DealtGroup dealt = good(deal(asked.at("n"), asked.at("t"), entropy_));
    json out{{"key", to_hex(dealt.group.threshold_key())}, {"public", json::object()},
             {"secret", json::object()}};
    for (const frost::SecretShare& share : dealt.shares) {
      const std::string id = std::to_string(share.id().value());
      out["public"][id] = to_hex(share.public_share());
      out["secret"][id] = to_hex(share.secret().span());
    }
    return out;
  }

  // Everybody's public shares and the secrets of those who sign here.
  json take_group(const json& asked) {
    std::vector<frost::PubShare33> shares(asked.at("public").size());
    for (const auto& [id, share] : asked.at("public").items())
      shares.at(id_of(id).value()) = bytes_of<33>(share);
    group_ = good(frost::Group::create(asked.at("n"), asked.at("t"), bytes_of<33>(asked.at("key")),
                                       std::move(shares)));
    key_ = asked.at("tweaked").get<bool>()
               ? good(frost::TweakContext::key_path_only(group_->threshold_key()))
               : good(frost::TweakContext::create(group_->threshold_key()));
    secrets_.clear();
    for (const auto& [id, secret] : asked.at("secret").items()) {
      auto share = good(frost::SecretShare::create(id_of(id), Secret<32>(bytes_of<32>(secret))));
      if (share.public_share() != group_->public_shares().at(id_of(id).value()))
        throw std::runtime_error("the share of " + id + " is not the group's");
      secrets_.emplace(id_of(id), std::move(share));
    }
    return {{"output_key", to_hex(key_->output_key())}};
  }

  json make_nonce(SignerId signer) {
    nonces_[signer] = good(frost_tr::nonce_gen(entropy_, secrets_.at(signer)));
    return {{"nonce", to_hex(nonces_[signer].public_nonce())}};
  }

  frost_tr::Session session(const json& asked) {
    std::vector<SignerId> ids;
    for (const auto& [id, nonce] : asked.at("nonces").items()) ids.push_back(id_of(id));
    const auto quorum = good(frost::Quorum::create(*group_, *key_, ids));
    std::vector<frost::PubNonce> nonces;
    for (const SignerId id : quorum.ids())
      nonces.push_back(bytes_of<66>(asked.at("nonces").at(std::to_string(id.value()))));
    auto opened =
        good(frost_tr::Session::open(quorum, nonces, bytes_of<32>(asked.at("message"))));
    if (!std::holds_alternative<frost_tr::Session>(opened))
      throw std::runtime_error("a nonce is not two points");
    return std::get<frost_tr::Session>(std::move(opened));
  }

  json make_share(const json& asked) {
    const SignerId signer = id_of(asked.at("signer"));
    const auto share = good(
        frost_tr::sign(std::move(nonces_.at(signer)), secrets_.at(signer), session(asked)));
    return {{"share", to_hex(share)}};
  }

  json verify(const json& asked) {
    return {{"good", frost_tr::verify_share(session(asked), id_of(asked.at("signer")),
                                            bytes_of<32>(asked.at("share")))}};
  }

  json add_up(const json& asked) {
    const frost_tr::Session opened = session(asked);
    std::vector<frost::PartialSig> shares;
    for (const SignerId id : opened.quorum().ids())
      shares.push_back(bytes_of<32>(asked.at("shares").at(std::to_string(id.value()))));
    const auto made = good(frost_tr::aggregate(opened, shares));
    if (const auto* bad = std::get_if<frost_tr::BadShares>(&made)) {
      json blamed = json::array();
      for (const auto& one : bad->blamed) blamed.push_back(std::to_string(one.signer.value()));
      return {{"blamed", blamed}};
    }
    return {{"signature", to_hex(std::get<Signature>(made))}};
  }

  CountingEntropy entropy_;
  std::optional<frost::Group> group_;
  std::optional<frost::TweakContext> key_;
  std::map<SignerId, frost::SecretShare> secrets_;
  std::map<SignerId, frost::SecNonce> nonces_;
};

}  // namespace

int main() {
  try {
    Peer peer;
    std::string line;
    while (std::getline(std::cin, line)) std::cout << peer.answer(json::parse(line)) << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "frost_tr_peer: " << error.what() << std::endl;
    return 1;
  }
}
