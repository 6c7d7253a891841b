// BIP 445's official vectors (signing, share checks, aggregation, nonce aggregation) and the
// derived tweak vectors.
//
// Invariant: every case of every section of the four files is run, the error cases by refusing for
// the stated reason; one test per group and section, and one that says that no other groups and
// sections are in the files.
#include <map>
#include <set>
#include <utility>

#include "common/crypto/frost.h"
#include "tests/vectors/crypto_files.h"

using namespace roulette;
using namespace roulette::crypto;
using namespace roulette::crypto::test;
using nlohmann::json;

namespace {

// The reference's messages, and a piece of ours for the same cause.
const std::map<std::string, std::string> kReasons = {
    {"The signer's id must be present in the participant identifier list.",
     "not in the signer set"},
    {"The participant identifier list contains duplicate elements.", "occurs twice"},
    {"The signer's pubshare must be included in the list of pubshares.", "not the listed one"},
    {"Invalid pubshare at index 0.", "invalid public share at index 0"},
    {"Invalid pubshare at index 1.", "invalid public share at index 1"},
    {"The threshold pubkey must not be the point at infinity.", "interpolate to infinity"},
    {"The participant identifier at index 0 is out of range.", "is not below"},
    {"The provided key material is incorrect.", "do not interpolate to the threshold"},
    {"first secnonce value is out of range.", "secret nonce is out of range"},
    {"second secnonce value is out of range.", "secret nonce is out of range"},
    {"The number of signers must be between t and n.", "number of signers must be between"},
    {"The signer's secret share value is out of range.", "secret share is out of range"},
    {"The psigs and ids arrays must have the same length.", "exactly one share"},
    {"The tweak value is out of range.", "exceeds the group order"},
    {"The result of tweaking cannot be infinity.", "takes the key to infinity"},
    {"The tweaks and is_xonly arrays must have the same length.", "exactly one mode"},
    {"The tweak must be a 32-byte array.", "is not 32 bytes"},
};

template <std::size_t N>
std::vector<ByteArray<N>> pick(const json& list, const json& indices) {
  std::vector<ByteArray<N>> out;
  for (const auto& index : indices) out.push_back(hex_array<N>(list[index.get<std::size_t>()]));
  return out;
}

std::vector<SignerId> ids_of(const json& tc) {
  std::vector<SignerId> out;
  for (const auto& id : tc["ids"]) out.emplace_back(id.get<std::uint16_t>());
  return out;
}

Result<frost::TweakContext> key_of(const json& group, const json& tc) {
  std::vector<Bytes> values;
  std::vector<frost::TweakMode> modes;
  if (tc.contains("tweak_indices")) {
    for (const auto& index : tc["tweak_indices"]) {
      values.push_back(hex_bytes(group["tweaks"][index.get<std::size_t>()]));
    }
    for (const auto& xonly : tc["is_xonly"]) {
      modes.push_back(xonly.get<bool>() ? frost::TweakMode::XOnly : frost::TweakMode::Plain);
    }
  }
  const auto tweaks = frost::make_tweaks(values, modes);
  if (!tweaks) return tweaks.error();
  return frost::TweakContext::create(hex_array<33>(group["thresh_pk"]), *tweaks);
}

Result<frost::Quorum> quorum_of(const json& group, const json& tc) {
  const auto key = key_of(group, tc);
  if (!key) return key.error();
  const auto shares = pick<33>(group["pubshares"], tc["pubshare_indices"]);
  return frost::Quorum::create_listed(group["n"], group["t"], *key, ids_of(tc), shares);
}

// Items listed in the order of tc["ids"], put into the order of ascending ids.
template <class T>
std::vector<T> in_id_order(const std::vector<T>& items, const json& tc) {
  std::map<SignerId, T> sorted;
  const auto ids = ids_of(tc);
  for (std::size_t i = 0; i < items.size(); ++i) sorted.emplace(ids.at(i), items[i]);
  std::vector<T> out;
  for (const auto& [id, item] : sorted) out.push_back(item);
  return out;
}

frost::SecNonce nonce_of(const json& group, const json& tc) {
  const auto raw = hex_array<64>(group["secnonces"][tc["secnonce_index"].get<std::size_t>()]);
  return frost::SecNonce::from_bytes(Secret<64>(std::span<const std::uint8_t, 64>(raw)));
}

Result<frost::SecretShare> share_of(const json& group, const json& tc) {
  const auto raw = hex_array<32>(group["secshares"][tc["secshare_index"].get<std::size_t>()]);
  return frost::SecretShare::create(SignerId(tc["my_id"].get<std::uint16_t>()),
                                    Secret<32>(std::span<const std::uint8_t, 32>(raw)));
}

void check_reason(const json& tc, const Error& error) {
  const std::string stated = tc["error"]["message"];
  REQUIRE(kReasons.count(stated) == 1);
  CHECK_THAT(error.message, Catch::Contains(kReasons.at(stated)));
}

// Signing must give the expected bytes by every way to open the session, and the share must verify.
void run_sign_valid(const json& group, const json& tc) {
  const auto quorum = quorum_of(group, tc).value();
  const Bytes message = hex_bytes(tc["msg"]);
  const auto aggregate = hex_array<66>(tc["aggnonce"]);
  const auto expected = hex_array<32>(tc["expected"]);
  const auto share = share_of(group, tc).value();

  const auto listed = pick<66>(group["pubnonces"], tc["pubnonce_indices"]);
  CHECK(std::get<frost::AggNonce>(frost::nonce_agg(listed)) == aggregate);
  const auto opened =
      frost::Session::open(quorum, in_id_order(listed, tc), message).value();
  const auto& session = std::get<frost::Session>(opened);
  CHECK(session.aggnonce() == aggregate);
  CHECK(frost::sign(nonce_of(group, tc), share, session).value() == expected);
  CHECK(frost::verify_share(session, share.id(), expected));

  const auto aggregated = frost::Session::open_aggregated(quorum, aggregate, message);
  CHECK(frost::sign(nonce_of(group, tc), share, std::get<frost::Session>(aggregated)).value() ==
        expected);

  // The whole group, checked at load, leads to the same share.
  const json all = json::array({0, 1, 2, 3, 4});
  const std::uint16_t n = group["n"];
  const json first_n(all.begin(), all.begin() + n);
  const auto whole = frost::Group::create(n, group["t"], hex_array<33>(group["thresh_pk"]),
                                          pick<33>(group["pubshares"], first_n));
  const auto of_group = frost::Quorum::create(*whole, key_of(group, tc).value(), ids_of(tc));
  const auto again = frost::Session::open_aggregated(*of_group, aggregate, message);
  CHECK(frost::sign(nonce_of(group, tc), share, std::get<frost::Session>(again)).value() ==
        expected);
}

void run_sign_error(const json& group, const json& tc) {
  const auto quorum = quorum_of(group, tc);
  if (!quorum) return check_reason(tc, quorum.error());
  const auto aggregate = hex_array<66>(tc["aggnonce"]);
  const auto opened =
      frost::Session::open_aggregated(*quorum, aggregate, hex_bytes(tc["msg"]));
  if (const auto* bad = std::get_if<frost::InvalidAggNonce>(&opened)) {
    CHECK(tc["error"]["contrib"] == "aggnonce");
    CHECK(tc["error"]["signer_index"].is_null());  // the coordinator's
    CHECK(bad->proof == aggregate);
    return;
  }
  const auto share = share_of(group, tc);
  if (!share) return check_reason(tc, share.error());
  const auto made = frost::sign(nonce_of(group, tc), *share, std::get<frost::Session>(opened));
  REQUIRE_FALSE(made.ok());
  check_reason(tc, made.error());
}

void run_verify_fail(const json& group, const json& tc) {
  const auto quorum = quorum_of(group, tc).value();
  const auto nonces = in_id_order(pick<66>(group["pubnonces"], tc["pubnonce_indices"]), tc);
  const auto opened = frost::Session::open(quorum, nonces, hex_bytes(tc["msg"])).value();
  const auto signer = ids_of(tc).at(tc["signer_index"].get<std::size_t>());
  CHECK_FALSE(frost::verify_share(std::get<frost::Session>(opened), signer,
                                  hex_array<32>(tc["psig"])));
}

void run_verify_error(const json& group, const json& tc) {
  const auto quorum = quorum_of(group, tc);
  if (!quorum) return check_reason(tc, quorum.error());
  const auto nonces = in_id_order(pick<66>(group["pubnonces"], tc["pubnonce_indices"]), tc);
  const auto opened = frost::Session::open(*quorum, nonces, hex_bytes(tc["msg"])).value();
  REQUIRE(std::holds_alternative<frost::InvalidPubNonce>(opened));
  CHECK(tc["error"]["contrib"] == "pubnonce");
  const auto& bad = std::get<frost::InvalidPubNonce>(opened);
  CHECK(bad.index == tc["error"]["signer_index"].get<std::size_t>());
  CHECK(bad.proof == nonces[bad.index]);
}

frost::Session aggregated_session(const json& group, const json& tc) {
  return std::get<frost::Session>(frost::Session::open_aggregated(
      quorum_of(group, tc).value(), hex_array<66>(tc["aggnonce"]), hex_bytes(tc["msg"])));
}

std::vector<frost::PartialSig> shares_of(const json& tc) {
  std::vector<frost::PartialSig> out;
  for (const auto& share : tc["psigs"]) out.push_back(hex_array<32>(share));
  return in_id_order(out, tc);
}

void run_aggregate_valid(const json& group, const json& tc) {
  const auto session = aggregated_session(group, tc);
  const auto outcome = frost::aggregate(session, shares_of(tc)).value();
  REQUIRE(std::holds_alternative<Signature>(outcome));
  CHECK(std::get<Signature>(outcome) == hex_array<64>(tc["expected"]));
  CHECK(schnorr_verify(session.quorum().key().output_key(), session.message(),
                       std::get<Signature>(outcome)));
}

void run_aggregate_error(const json& group, const json& tc) {
  const auto session = aggregated_session(group, tc);
  const auto outcome = frost::aggregate(session, shares_of(tc));
  if (!outcome) return check_reason(tc, outcome.error());
  REQUIRE(std::holds_alternative<frost::BadShares>(*outcome));
  CHECK(tc["error"]["contrib"] == "psig");
  const auto& blamed = std::get<frost::BadShares>(*outcome).blamed;
  REQUIRE(blamed.size() == 1);
  CHECK(blamed[0].signer == ids_of(tc).at(tc["error"]["signer_index"].get<std::size_t>()));
}

using Runner = void (*)(const json& group, const json& tc);

void run_section(const std::string& file, const std::string& group_id, const std::string& section,
                 Runner runner) {
  const auto vectors = json_vectors("bip445/" + file);
  if (!vectors) return;
  std::size_t ran = 0;
  for (const auto& group : (*vectors)["test_groups"]) {
    if (group["tg_id"] != group_id) continue;
    for (const auto& tc : group[section]) {
      INFO(group_id << " case " << tc["tc_id"] << ": " << tc["comment"].get<std::string>());
      runner(group, tc);
      ++ran;
    }
  }
  CHECK(ran > 0);
}

}  // namespace

// Catch2 wants a name per line, hence one line per group and section.
#define SECTION_TEST(FILE, GROUP, SECTION, RUNNER)                                        \
  TEST_CASE("BIP 445 " FILE ", " GROUP ", " SECTION " hold") {                            \
    run_section(FILE ".json", GROUP, SECTION, RUNNER);                                    \
  }

SECTION_TEST("sign_verify_vectors", "2of3", "valid_tests", run_sign_valid)
SECTION_TEST("sign_verify_vectors", "1of3", "valid_tests", run_sign_valid)
SECTION_TEST("sign_verify_vectors", "3of3", "valid_tests", run_sign_valid)
SECTION_TEST("sign_verify_vectors", "3of5", "valid_tests", run_sign_valid)
SECTION_TEST("sign_verify_vectors", "2of3", "sign_error_tests", run_sign_error)
SECTION_TEST("sign_verify_vectors", "1of3", "sign_error_tests", run_sign_error)
SECTION_TEST("sign_verify_vectors", "3of3", "sign_error_tests", run_sign_error)
SECTION_TEST("sign_verify_vectors", "3of5", "sign_error_tests", run_sign_error)
SECTION_TEST("sign_verify_vectors", "2of3", "verify_fail_tests", run_verify_fail)
SECTION_TEST("sign_verify_vectors", "1of3", "verify_fail_tests", run_verify_fail)
SECTION_TEST("sign_verify_vectors", "3of3", "verify_fail_tests", run_verify_fail)
SECTION_TEST("sign_verify_vectors", "3of5", "verify_fail_tests", run_verify_fail)
SECTION_TEST("sign_verify_vectors", "2of3", "verify_error_tests", run_verify_error)
SECTION_TEST("sign_verify_vectors", "1of3", "verify_error_tests", run_verify_error)
SECTION_TEST("sign_verify_vectors", "3of3", "verify_error_tests", run_verify_error)
SECTION_TEST("sign_verify_vectors", "3of5", "verify_error_tests", run_verify_error)

SECTION_TEST("sig_agg_vectors", "2of3", "valid_tests", run_aggregate_valid)
SECTION_TEST("sig_agg_vectors", "1of3", "valid_tests", run_aggregate_valid)
SECTION_TEST("sig_agg_vectors", "3of3", "valid_tests", run_aggregate_valid)
SECTION_TEST("sig_agg_vectors", "3of5", "valid_tests", run_aggregate_valid)
SECTION_TEST("sig_agg_vectors", "2of3", "error_tests", run_aggregate_error)
SECTION_TEST("sig_agg_vectors", "1of3", "error_tests", run_aggregate_error)
SECTION_TEST("sig_agg_vectors", "3of3", "error_tests", run_aggregate_error)
SECTION_TEST("sig_agg_vectors", "3of5", "error_tests", run_aggregate_error)

SECTION_TEST("tweak_vectors_derived", "2of3", "valid_tests", run_sign_valid)
SECTION_TEST("tweak_vectors_derived", "1of3", "valid_tests", run_sign_valid)
SECTION_TEST("tweak_vectors_derived", "3of3", "valid_tests", run_sign_valid)
SECTION_TEST("tweak_vectors_derived", "3of5", "valid_tests", run_sign_valid)
SECTION_TEST("tweak_vectors_derived", "2of3", "error_tests", run_sign_error)
SECTION_TEST("tweak_vectors_derived", "1of3", "error_tests", run_sign_error)
SECTION_TEST("tweak_vectors_derived", "3of3", "error_tests", run_sign_error)
SECTION_TEST("tweak_vectors_derived", "3of5", "error_tests", run_sign_error)

TEST_CASE("BIP 445 nonce_agg_vectors, valid_tests hold") {
  const auto vectors = json_vectors("bip445/nonce_agg_vectors.json");
  if (!vectors) return;
  CHECK((*vectors)["valid_tests"].size() == 2);
  for (const auto& tc : (*vectors)["valid_tests"]) {
    INFO("case " << tc["tc_id"]);
    const auto nonces = pick<66>((*vectors)["pubnonces"], tc["pubnonce_indices"]);
    CHECK(std::get<frost::AggNonce>(frost::nonce_agg(nonces)) == hex_array<66>(tc["expected"]));
  }
}

TEST_CASE("BIP 445 nonce_agg_vectors, error_tests blame the signer with its bytes") {
  const auto vectors = json_vectors("bip445/nonce_agg_vectors.json");
  if (!vectors) return;
  CHECK((*vectors)["error_tests"].size() == 3);
  for (const auto& tc : (*vectors)["error_tests"]) {
    INFO("case " << tc["tc_id"]);
    const auto nonces = pick<66>((*vectors)["pubnonces"], tc["pubnonce_indices"]);
    const auto bad = std::get<frost::InvalidPubNonce>(frost::nonce_agg(nonces));
    CHECK(bad.index == tc["error"]["signer_index"].get<std::size_t>());
    CHECK(bad.proof == nonces[bad.index]);
  }
}

TEST_CASE("BIP 445 files hold exactly the groups and sections that are tested") {
  const std::map<std::string, std::set<std::string>> sections = {
      {"sign_verify_vectors",
       {"valid_tests", "sign_error_tests", "verify_fail_tests", "verify_error_tests"}},
      {"sig_agg_vectors", {"valid_tests", "error_tests"}},
      {"tweak_vectors_derived", {"valid_tests", "error_tests"}}};
  std::size_t cases = 0;
  for (const auto& [file, expected] : sections) {
    const auto vectors = json_vectors("bip445/" + file + ".json");
    if (!vectors) return;
    std::set<std::string> groups;
    for (const auto& group : (*vectors)["test_groups"]) {
      groups.insert(group["tg_id"].get<std::string>());
      std::set<std::string> found;
      for (const auto& [name, value] : group.items()) {
        if (name.find("_tests") == std::string::npos) continue;
        found.insert(name);
        cases += value.size();
      }
      CHECK(found == expected);
    }
    CHECK(groups == std::set<std::string>{"1of3", "2of3", "3of3", "3of5"});
  }
  CHECK(cases == 97 + 22 + 44);
}
