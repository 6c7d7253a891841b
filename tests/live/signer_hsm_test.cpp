// roulette-signer with its key in a token: how the key is made, what serves, what is refused, and
// what a token that fails while the signer runs does to it.
#include <catch2/catch.hpp>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include <nlohmann/json.hpp>

#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hsm_scheme.h"
#include "common/runtime/group_file.h"
#include "tests/live/signer_cluster.h"
#include "tests/unit/faulty_token.h"

using namespace roulette;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;

namespace {

std::string json_of(const signer::TokenPlace& place, int patience_ms = 5000) {
  return "{\"module\":\"" + place.module.string() + "\",\"label\":\"" + place.label +
         "\",\"pin_file\":\"" + place.pin_file.string() +
         "\",\"patience_ms\":" + std::to_string(patience_ms) + "}";
}

// The configuration of an hsm signer: no share, its own group file.
std::filesystem::path config_of(const ClusterFiles& files, const std::string& token) {
  return files.write_config(
      0, {{"token", token}, {"share", ""}, {"share_key", ""}, {"group", "\"hsm.json\""}});
}

crypto::PubKey33 key_told(const Finished& made) {
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const auto told = nlohmann::json::parse(made.out);
  return array_from_hex<33>(told.at("public_key").get<std::string>()).value();
}

crypto::PubKey33 make_wallet(const ClusterFiles& files, const std::filesystem::path& config) {
  const auto key = key_told(run_to_end(files, {"make-token-key", "--config", config.string()}));
  REQUIRE(runtime::write_group_file(files / "hsm.json", *crypto::hsm_group(key).value()).ok());
  return key;
}

std::string start_refused(const ClusterFiles& files, const std::filesystem::path& config) {
  const Finished ended = run_to_end(files, {"--config", config.string()});
  CHECK(ended.exit_code != 0);
  return ended.err;
}

wire::SignRequest request_for(const crypto::PubKey33& key, std::uint8_t number) {
  const Bytes script = bitcoin::wallet_script(crypto::SignatureForm::Ecdsa, key);
  bitcoin::Transaction tx;
  tx.inputs = {{{Hash32{number}, 0}, {}, bitcoin::kSequenceNoReplacement, {}}};
  tx.outputs = {{50'000, bitcoin::p2wpkh_script(ByteArray<20>{7})}, {49'000, script}};
  wire::SignRequest wanted;
  wanted.withdrawal_id = WithdrawalId(ByteArray<16>{number});
  wanted.unsigned_tx = bitcoin::serialize_without_witness(tx);
  wanted.prevouts = {{100'000, script}};
  wanted.group = crypto::hsm_group(key).value()->id();
  wanted.signers = {{SignerId(0), BootId{}, {}}};
  return wanted;
}

// Whether the answer to this is a share that verifies.
bool signs(TestCoordinator& coordinator, const crypto::PubKey33& key, std::uint8_t number) {
  wire::SignRequest wanted = request_for(key, number);
  wanted.signers[0].epoch = coordinator.epoch(0);
  coordinator.send(0, wanted);
  const auto answer = coordinator.receive<wire::SignResponse>(0);
  if (!answer) return false;
  const auto tx = bitcoin::parse_transaction(wanted.unsigned_tx).value();
  const auto hash =
      bitcoin::sighashes(crypto::SignatureForm::Ecdsa, tx, wanted.prevouts).value().front();
  const auto compact = to_array<64>(ByteSpan(answer->shares.at(0))).value();
  return crypto::ecdsa_verify(key, hash, crypto::der_of(compact).value());
}

}  // namespace

TEST_CASE("a key is made in the token once, and its signer serves from there alone") {
  SoftTokens tokens;
  const auto place = tokens.make("signer-0");
  ClusterFiles files;
  auto config = config_of(files, json_of(place));
  CHECK_THAT(start_refused(files, config), Contains("group file is missing"));
  const auto key = make_wallet(files, config);
  CHECK(key_told(run_to_end(files, {"make-token-key", "--config", config.string()})) == key);
  SignerProcess signer(config);
  TestCoordinator coordinator(files);
  REQUIRE(signer.wait_ready());
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  for (std::uint8_t number = 1; number <= 16; ++number) CHECK(signs(coordinator, key, number));
  signer.kill();
}

TEST_CASE("each token that is not this signer's own is refused in its own words") {
  FaultyTokens faulty;
  const auto place = faulty.make("signer-0");
  const auto theirs = faulty.make("signer-1");
  ClusterFiles files;
  auto config = config_of(files, json_of(place));
  const auto key = make_wallet(files, config);

  config = config_of(files, json_of(theirs));  // another signer's token, without a key
  CHECK_THAT(start_refused(files, config), Contains("it holds no signing key"));
  const Finished made = run_to_end(files, {"make-token-key", "--config", config.string()});
  CHECK(made.exit_code != 0);  // the wallet has its key: none is made elsewhere
  CHECK_THAT(made.err, Contains("it holds no signing key"));
  std::filesystem::rename(files / "hsm.json", files / "kept.json");
  const auto other = key_told(run_to_end(files, {"make-token-key", "--config", config.string()}));
  CHECK(other != key);
  std::filesystem::rename(files / "kept.json", files / "hsm.json");
  CHECK_THAT(start_refused(files, config), Contains("another signer's token, or another group"));

  auto wrong = place;
  wrong.pin_file = faulty.tokens.write_pin("wrong", "4711471147");
  config = config_of(files, json_of(wrong));
  const int logins = faulty.noted("login");
  CHECK_THAT(start_refused(files, config), Contains("the PIN is wrong"));
  for (int start = 0; start < 5; ++start)
    CHECK_THAT(start_refused(files, config), Contains("not tried again"));
  CHECK(faulty.noted("login") == logins + 1);

  config = files.write_config(0, {{"token", json_of(place)}, {"group", "\"hsm.json\""}});
  CHECK_THAT(start_refused(files, config), Contains("there is no share"));
  config = files.write_config(0, {{"group", "\"hsm.json\""}});
  CHECK_THAT(start_refused(files, config), Contains("token is missing"));
  faulty.tokens.forget_all();
  config = config_of(files, json_of(place));
  CHECK_THAT(start_refused(files, config), Contains("the module has no token"));
}

TEST_CASE("a token that refuses or is removed costs no signer: it signs when the token is back") {
  FaultyTokens faulty;
  ClusterFiles files;
  const auto config = config_of(files, json_of(faulty.make("signer-0")));
  const auto key = make_wallet(files, config);
  SignerProcess signer(config);
  TestCoordinator coordinator(files);
  REQUIRE(signer.wait_ready());
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  REQUIRE(signs(coordinator, key, 1));
  std::uint8_t number = 2;
  for (const char* how : {"sign refuse", "all removed", "sign session-lost"}) {
    INFO(how);
    faulty.tell(how);
    wire::SignRequest wanted = request_for(key, number);
    wanted.signers[0].epoch = coordinator.epoch(0);
    coordinator.send(0, wanted);
    const auto refused = coordinator.receive<wire::SignRefusal>(0);
    REQUIRE(refused.has_value());
    CHECK(refused->reason == wire::RefusalReason::KeyUnavailable);
    CHECK_THAT(refused->detail, Contains("token 'signer-0'"));
    CHECK(signer.hear() == "not_ready key-unavailable");
    faulty.tell("");
    CHECK(signer.hear_any() == "ready {}");  // it looks after its token four times a second
    CHECK(signs(coordinator, key, number));
    ++number;
  }
  faulty.tell("sign slow 300");
  CHECK(signs(coordinator, key, number));
  signer.kill();
}

TEST_CASE("a token that goes away is noticed and told while nobody wants a signature") {
  FaultyTokens faulty;
  ClusterFiles files;
  const auto config = config_of(files, json_of(faulty.make("signer-0")));
  const auto key = make_wallet(files, config);
  SignerProcess signer(config);
  TestCoordinator coordinator(files);
  REQUIRE(signer.wait_ready());
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  faulty.tell("all removed");
  CHECK(signer.hear() == "not_ready key-unavailable");
  faulty.tell("");
  CHECK(signer.hear_any() == "ready {}");
  CHECK(signs(coordinator, key, 1));
  signer.kill();
}

TEST_CASE("a signer whose token hangs ends with the reason, at its start and while it runs") {
  FaultyTokens faulty;
  ClusterFiles files;
  const auto config = config_of(files, json_of(faulty.make("signer-0"), 400));
  const auto key = make_wallet(files, config);
  faulty.tell("session hang");
  CHECK_THAT(start_refused(files, config), Contains("has not answered for 400 ms"));
  faulty.tell("");
  SignerProcess signer(config);
  TestCoordinator coordinator(files);
  REQUIRE(signer.wait_ready());
  REQUIRE(coordinator.connect(0, signer.tls_port()));
  REQUIRE(signs(coordinator, key, 1));
  faulty.tell("sign hang");
  wire::SignRequest wanted = request_for(key, 2);
  wanted.signers[0].epoch = coordinator.epoch(0);
  coordinator.send(0, wanted);
  CHECK_FALSE(coordinator.receive(0).has_value());  // the connection ended, nothing was said
  const int status = signer.wait();
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 2));
  std::ifstream said(config.string() + ".stderr");
  const std::string words((std::istreambuf_iterator<char>(said)), {});
  CHECK_THAT(words, Contains("has not answered for 400 ms") && Contains("the signer ends"));
  faulty.tell("");
  SignerProcess again(config);  // nothing is lost: the same payment is signed
  REQUIRE(again.wait_ready());
  REQUIRE(coordinator.connect(0, again.tls_port()));
  CHECK(signs(coordinator, key, 2));
  again.kill();
}

TEST_CASE("a token ends with one key whenever the command that makes it is killed") {
  ClusterFiles files;
  // The kills are spread over what the command takes here and now, and half as much again.
  std::int64_t takes_us = 0;
  for (int run = 0; run < 3; ++run) {
    SoftTokens tokens;
    const auto config = config_of(files, json_of(tokens.make("signer-0")));
    const auto began = std::chrono::steady_clock::now();
    (void)key_told(run_to_end(files, {"make-token-key", "--config", config.string()}));
    const auto took = std::chrono::steady_clock::now() - began;
    takes_us = std::max<std::int64_t>(
        takes_us, std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  }
  int made = 0, unmade = 0, torn = 0;
  for (int kill = 0; kill < 200; ++kill) {
    SoftTokens tokens;
    const auto config = config_of(files, json_of(tokens.make("signer-0")));
    runtime::test::Child child([&] {
      ::close(1);
      ::close(2);
      ::execl(ROULETTE_SIGNER_BINARY, ROULETTE_SIGNER_BINARY, "make-token-key", "--config",
              config.c_str(), static_cast<char*>(nullptr));
      return 1;
    });
    ::usleep(static_cast<useconds_t>(takes_us * 3 * kill / 400));
    child.signal(SIGKILL);
    const int status = child.wait();
    (WIFSIGNALED(status) ? unmade : made) += 1;
    if (tokens.torn()) {  // SoftHSM's own: see soft_token.h. No key was told of yet.
      torn += 1;
      continue;
    }
    const auto key = key_told(run_to_end(files, {"make-token-key", "--config", config.string()}));
    if (kill % 4 != 0) continue;
    REQUIRE(key_told(run_to_end(files, {"make-token-key", "--config", config.string()})) == key);
  }
  CHECK(made > 0);
  CHECK(unmade > 0);
  WARN(unmade << " were killed, " << made << " came to their end, " << torn << " tore the token");
}
