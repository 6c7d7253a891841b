// See module_peer.h.
#include "chaos/bench/module_peer.h"

#include <array>
#include <vector>

#include <secp256k1.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_musig.h>
#include <secp256k1_schnorrsig.h>

#include "chaos/plan/prng.h"
#include "common/base/assert.h"

namespace roulette::chaos::bench {
namespace {

using Bytes32 = std::array<unsigned char, 32>;

struct Library {
  secp256k1_context* context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
  Prng prng{1};
  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { secp256k1_context_destroy(context); }

  // A number below the order: its first byte is not 0xff.
  Bytes32 draw() {
    Bytes32 out{};
    for (unsigned char& byte : out) byte = static_cast<unsigned char>(prng.next());
    out[0] = static_cast<unsigned char>(out[0] & 0x7f);
    return out;
  }
};

void yes(int answer) {
  ROULETTE_ASSERT(answer == 1);
}

}  // namespace

struct ModulePeer::State {
  Library library;
  Bytes32 message{};
  std::vector<secp256k1_keypair> pairs;
  std::vector<secp256k1_pubkey> keys;
  std::vector<std::array<unsigned char, 66>> nonces;  // as they arrive
  secp256k1_musig_pubnonce first_nonce{};              // the first one, parsed as a session has it
  std::vector<std::array<unsigned char, 32>> shares;
  secp256k1_musig_keyagg_cache aggregate{};
  secp256k1_xonly_pubkey key{};
  secp256k1_musig_session session{};
  std::vector<secp256k1_musig_secnonce> prepared;

  secp256k1_musig_secnonce fresh(std::size_t signer, secp256k1_musig_pubnonce& published) {
    secp256k1_musig_secnonce secret;
    Bytes32 random = library.draw();
    Bytes32 own{};
    yes(secp256k1_keypair_sec(library.context, own.data(), &pairs[signer]));
    yes(secp256k1_musig_nonce_gen(library.context, &secret, &published, random.data(), own.data(),
                                  &keys[signer], nullptr, &aggregate, nullptr));
    return secret;
  }
  void open() {
    std::vector<secp256k1_musig_pubnonce> parsed(nonces.size());
    std::vector<const secp256k1_musig_pubnonce*> list;
    for (std::size_t i = 0; i < nonces.size(); ++i) {
      yes(secp256k1_musig_pubnonce_parse(library.context, &parsed[i], nonces[i].data()));
      list.push_back(&parsed[i]);
    }
    secp256k1_musig_aggnonce sum;
    yes(secp256k1_musig_nonce_agg(library.context, &sum, list.data(), list.size()));
    yes(secp256k1_musig_nonce_process(library.context, &session, &sum, message.data(),
                                      &aggregate));
  }
};

ModulePeer::ModulePeer(std::uint16_t t) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.message = s.library.draw();
  std::vector<const secp256k1_pubkey*> list;
  s.pairs.resize(t);
  s.keys.resize(t);
  for (std::uint16_t i = 0; i < t; ++i) {
    yes(secp256k1_keypair_create(s.library.context, &s.pairs[i], s.library.draw().data()));
    yes(secp256k1_keypair_pub(s.library.context, &s.keys[i], &s.pairs[i]));
    list.push_back(&s.keys[i]);
  }
  yes(secp256k1_musig_pubkey_agg(s.library.context, &s.key, &s.aggregate, list.data(), t));
  // The wallet's key path tweak, as the schemes have it. Its value is anybody's.
  secp256k1_pubkey tweaked;
  yes(secp256k1_musig_pubkey_xonly_tweak_add(s.library.context, &tweaked, &s.aggregate,
                                             s.library.draw().data()));
  yes(secp256k1_xonly_pubkey_from_pubkey(s.library.context, &s.key, nullptr, &tweaked));
  std::vector<secp256k1_musig_secnonce> secrets(t);
  s.nonces.resize(t);
  for (std::uint16_t i = 0; i < t; ++i) {
    secp256k1_musig_pubnonce published;
    secrets[i] = s.fresh(i, published);
    yes(secp256k1_musig_pubnonce_serialize(s.library.context, s.nonces[i].data(), &published));
    if (i == 0) s.first_nonce = published;
  }
  s.open();
  s.shares.resize(t);
  for (std::uint16_t i = 0; i < t; ++i) {
    secp256k1_musig_partial_sig share;
    yes(secp256k1_musig_partial_sign(s.library.context, &share, &secrets[i], &s.pairs[i],
                                     &s.aggregate, &s.session));
    yes(secp256k1_musig_partial_sig_serialize(s.library.context, s.shares[i].data(), &share));
  }
  share_check();
  aggregate();
}

ModulePeer::~ModulePeer() = default;

void ModulePeer::nonce() {
  secp256k1_musig_pubnonce published;
  std::array<unsigned char, 66> bytes{};
  [[maybe_unused]] const auto secret = state_->fresh(0, published);
  yes(secp256k1_musig_pubnonce_serialize(state_->library.context, bytes.data(), &published));
}

void ModulePeer::session() {
  state_->open();
}

void ModulePeer::prepare(int n) {
  state_->prepared.clear();
  for (int i = 0; i < n; ++i) {
    secp256k1_musig_pubnonce published;
    state_->prepared.push_back(state_->fresh(0, published));
  }
}

// Under a session of another nonce: the module does not look, and the work is the same.
void ModulePeer::share(int i) {
  State& s = *state_;
  secp256k1_musig_partial_sig share;
  std::array<unsigned char, 32> bytes{};
  yes(secp256k1_musig_partial_sign(s.library.context, &share,
                                   &s.prepared[static_cast<std::size_t>(i)], &s.pairs[0],
                                   &s.aggregate, &s.session));
  yes(secp256k1_musig_partial_sig_serialize(s.library.context, bytes.data(), &share));
}

void ModulePeer::share_check() {
  State& s = *state_;
  secp256k1_musig_partial_sig share;
  yes(secp256k1_musig_partial_sig_parse(s.library.context, &share, s.shares[0].data()));
  yes(secp256k1_musig_partial_sig_verify(s.library.context, &share, &s.first_nonce, &s.keys[0],
                                         &s.aggregate, &s.session));
}

void ModulePeer::aggregate() {
  State& s = *state_;
  std::vector<secp256k1_musig_partial_sig> parsed(s.shares.size());
  std::vector<const secp256k1_musig_partial_sig*> list;
  for (std::size_t i = 0; i < parsed.size(); ++i) {
    yes(secp256k1_musig_partial_sig_parse(s.library.context, &parsed[i], s.shares[i].data()));
    list.push_back(&parsed[i]);
  }
  std::array<unsigned char, 64> signature{};
  yes(secp256k1_musig_partial_sig_agg(s.library.context, signature.data(), &s.session, list.data(),
                                      list.size()));
  yes(secp256k1_schnorrsig_verify(s.library.context, signature.data(), s.message.data(), 32,
                                  &s.key));
}

struct CurveOperations::State {
  Library library;
  Bytes32 secret{}, message{}, scalar{};
  secp256k1_keypair pair{};
  secp256k1_xonly_pubkey xonly{};
  secp256k1_pubkey point{}, other{};
  std::array<unsigned char, 33> bytes{};
  std::array<unsigned char, 64> signature{};
};

CurveOperations::CurveOperations() : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.secret = s.library.draw();
  s.message = s.library.draw();
  s.scalar = s.library.draw();
  yes(secp256k1_keypair_create(s.library.context, &s.pair, s.secret.data()));
  yes(secp256k1_keypair_xonly_pub(s.library.context, &s.xonly, nullptr, &s.pair));
  yes(secp256k1_keypair_pub(s.library.context, &s.point, &s.pair));
  yes(secp256k1_ec_pubkey_create(s.library.context, &s.other, s.scalar.data()));
  std::size_t size = s.bytes.size();
  yes(secp256k1_ec_pubkey_serialize(s.library.context, s.bytes.data(), &size, &s.point,
                                    SECP256K1_EC_COMPRESSED));
  sign();
}

CurveOperations::~CurveOperations() = default;

void CurveOperations::sign() {
  State& s = *state_;
  yes(secp256k1_schnorrsig_sign32(s.library.context, s.signature.data(), s.message.data(), &s.pair,
                                  s.scalar.data()));
}

void CurveOperations::verify() {
  State& s = *state_;
  yes(secp256k1_schnorrsig_verify(s.library.context, s.signature.data(), s.message.data(), 32,
                                  &s.xonly));
}

void CurveOperations::parse() {
  secp256k1_pubkey point;
  yes(secp256k1_ec_pubkey_parse(state_->library.context, &point, state_->bytes.data(),
                                state_->bytes.size()));
}

void CurveOperations::multiply_generator() {
  secp256k1_pubkey point;
  yes(secp256k1_ec_pubkey_create(state_->library.context, &point, state_->secret.data()));
}

void CurveOperations::multiply() {
  secp256k1_pubkey point = state_->point;
  yes(secp256k1_ec_pubkey_tweak_mul(state_->library.context, &point, state_->scalar.data()));
}

void CurveOperations::add() {
  const secp256k1_pubkey* list[] = {&state_->point, &state_->other};
  secp256k1_pubkey sum;
  yes(secp256k1_ec_pubkey_combine(state_->library.context, &sum, list, 2));
}

void CurveOperations::add_many() {
  std::array<const secp256k1_pubkey*, 16> list{};
  for (std::size_t i = 0; i < list.size(); ++i)
    list[i] = i % 3 == 0 ? &state_->other : &state_->point;
  secp256k1_pubkey sum;
  yes(secp256k1_ec_pubkey_combine(state_->library.context, &sum, list.data(), list.size()));
}

}  // namespace roulette::chaos::bench
