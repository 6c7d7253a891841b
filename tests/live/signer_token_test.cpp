// roulette-signer and a token: the share goes into it whatever kills the command, and serves.
#include <catch2/catch.hpp>

#include <signal.h>
#include <unistd.h>

#include "common/crypto/schemes.h"
#include "common/crypto/sealed_share.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/group_file.h"
#include "tests/live/signer_cluster.h"
#include "tests/unit/soft_token.h"

using namespace roulette;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;

namespace {

std::string json_of(const signer::TokenPlace& place) {
  return "{\"module\":\"" + place.module.string() + "\",\"label\":\"" + place.label +
         "\",\"pin_file\":\"" + place.pin_file.string() + "\"}";
}

crypto::ShareProtection protection_of(const std::filesystem::path& share) {
  return crypto::sealed_protection(*runtime::read_whole_file(share, 200)).value();
}

}  // namespace

TEST_CASE("a share goes into the token, and the signer serves from there alone") {
  SoftTokens tokens;
  const auto place = tokens.make("signer-0");
  ClusterFiles files;
  auto config = files.write_config(0, {{"token", json_of(place)}});
  const std::vector<std::string> seal = {"seal-into-token", "--config", config.string()};
  for (int run = 0; run < 2; ++run) {  // the second finds it done
    const Finished sealed = run_to_end(files, seal);
    INFO(sealed.err);
    REQUIRE(sealed.exit_code == 0);
    CHECK(protection_of(files / "signer-0.share") == crypto::ShareProtection::Token);
  }
  config = files.write_config(0, {{"token", json_of(place)}, {"share_key", ""}});
  {
    SignerProcess signer(config);
    TestCoordinator coordinator(files);
    REQUIRE(signer.wait_ready());
    CHECK(coordinator.connect(0, signer.tls_port()));
    signer.kill();
  }
  auto wrong = place;
  wrong.pin_file = tokens.write_pin("wrong", "4711471147");
  config = files.write_config(0, {{"token", json_of(wrong)}, {"share_key", ""}});
  CHECK_THAT(run_to_end(files, {"--config", config.string()}).err, Contains("the PIN is wrong"));
  config = files.write_config(0, {{"share_key", ""}});
  CHECK_THAT(run_to_end(files, {"--config", config.string()}).err, Contains("token is missing"));
  tokens.forget_all();
  config = files.write_config(0, {{"token", json_of(place)}, {"share_key", ""}});
  CHECK_THAT(run_to_end(files, {"--config", config.string()}).err, Contains("no token"));
}

TEST_CASE("a share in a token is refused when altered, of another epoch, group or threshold") {
  SoftTokens tokens;
  const auto place = tokens.make("signer-0");
  ClusterFiles files;
  const auto with = [&](std::map<std::string, std::string> more) {
    more["token"] = json_of(place);
    more["share_key"] = "";
    const auto config = files.write_config(0, more);
    const Finished ended = run_to_end(files, {"--config", config.string()});
    CHECK(ended.exit_code != 0);
    return ended.err;
  };
  const auto sealing = files.write_config(0, {{"token", json_of(place)}});
  REQUIRE(run_to_end(files, {"seal-into-token", "--config", sealing.string()}).exit_code == 0);
  const auto share = files / "signer-0.share";
  const Bytes good = *runtime::read_whole_file(share, 200);
  Bytes altered = good;
  altered.back() ^= 1;
  REQUIRE(runtime::write_file_durably(share, altered).ok());
  CHECK_THAT(with({}), Contains("wrong key, or the file was altered"));
  REQUIRE(runtime::write_file_durably(share, good).ok());
  CHECK_THAT(with({{"share_epoch", "2"}}), Contains("it is of share epoch 1, not 2"));
  auto keys = crypto::keys_of(*wallet().group);
  keys.t = 4;  // the same keys, of which more are to sign
  const auto stricter = crypto::scheme_by_name("frost")->group(keys);
  REQUIRE(stricter.ok());
  REQUIRE(runtime::write_group_file(files / "stricter.json", **stricter).ok());
  CHECK_THAT(with({{"group", "\"stricter.json\""}}), Contains("it belongs to another group"));
  REQUIRE(runtime::write_group_file(files / "foreign.json", *foreign_wallet().group).ok());
  CHECK_THAT(with({{"group", "\"foreign.json\""}}), Contains("it belongs to another group"));
  const auto theirs = tokens.make("signer-1");
  const auto config = files.write_config(0, {{"token", json_of(theirs)}, {"share_key", ""}});
  CHECK_THAT(run_to_end(files, {"--config", config.string()}).err,
             Contains("it holds no share vault key"));
  const auto serving = files.write_config(0, {{"token", json_of(place)}, {"share_key", ""}});
  SignerProcess signer(serving);  // nothing of all this cost the share
  REQUIRE(signer.wait_ready());
  signer.kill();
}

TEST_CASE("a share is whole whenever the command that moves it into the token is killed") {
  SoftTokens tokens;
  const auto place = tokens.make("signer-0");
  ClusterFiles files;
  const auto config = files.write_config(0, {{"token", json_of(place)}});
  const auto share = files / "signer-0.share";
  const Bytes before = *runtime::read_whole_file(share, 200);
  int moved = 0, unmoved = 0, torn = 0;
  for (int kill = 0; kill < 200; ++kill) {
    REQUIRE(runtime::write_file_durably(share, before).ok());
    runtime::test::Child child([&] {
      ::close(2);
      ::execl(ROULETTE_SIGNER_BINARY, ROULETTE_SIGNER_BINARY, "seal-into-token", "--config",
              config.c_str(), static_cast<char*>(nullptr));
      return 1;
    });
    ::usleep(static_cast<useconds_t>(150 * kill));
    child.signal(SIGKILL);
    (void)child.wait();
    const Bytes now = *runtime::read_whole_file(share, 200);
    const bool in_token = protection_of(share) == crypto::ShareProtection::Token;
    (in_token ? moved : unmoved) += 1;
    if (!in_token) REQUIRE(now == before);
    if (in_token) REQUIRE_FALSE(tokens.torn());  // nothing logs in behind the rename
    if (tokens.torn()) {  // the share waits for another token
      torn += 1;
      tokens.forget_all();
      (void)tokens.make("signer-0");
    } else if (kill % 4 != 3) {
      continue;
    }
    const Finished again = run_to_end(files, {"seal-into-token", "--config", config.string()});
    INFO("kill " << kill << ": " << again.err);
    REQUIRE(again.exit_code == 0);  // it opened what was there
    REQUIRE(protection_of(share) == crypto::ShareProtection::Token);
  }
  CHECK(moved > 0);
  CHECK(unmoved > 0);
  WARN(moved << " kills found it moved, " << unmoved << " not, " << torn << " tore the token");
}
