// The daemons' command line: what is taken, and what is refused with its name.
#include <catch2/catch.hpp>

#include <vector>

#include "common/runtime/daemon_command.h"

using namespace roulette;
using namespace roulette::runtime;

namespace {

constexpr DaemonProgram kKeeper{
    .name = "keeper", .version = "1", .exports = "the records", .takes_passphrase = true};
constexpr DaemonProgram kPlain{.name = "plain", .version = "1"};

Result<DaemonArguments> parse(const DaemonProgram& program, std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return parse_daemon_arguments(program, pointers);
}

void check_refused(const DaemonProgram& program, const std::vector<std::string>& words,
                   const std::string& why) {
  const auto result = parse(program, words);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().kind == ErrorKind::Usage);
  CHECK(result.error().message.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("a daemon takes its configuration and its descriptors", "[runtime]") {
  const auto all = parse(kKeeper, {"--config", "f", "--control-fd", "5", "--passphrase-fd", "6"});
  REQUIRE(all.ok());
  CHECK(all->config == "f");
  CHECK(all->control_fd == 5);
  CHECK(all->passphrase_fd == 6);
  CHECK_FALSE(all->export_records);
  const auto records = parse(kKeeper, {"export", "--config", "f"});
  REQUIRE(records.ok());
  CHECK(records->export_records);
  CHECK(parse(kPlain, {"--version"})->version);
}

TEST_CASE("what a daemon does not take is refused by its name", "[runtime]") {
  check_refused(kKeeper, {}, "--config is missing");
  check_refused(kKeeper, {"--config"}, "--config wants a value");
  check_refused(kKeeper, {"--config", ""}, "--config wants a file's name");
  check_refused(kKeeper, {"--config", "f", "export"}, "unknown argument export");
  check_refused(kKeeper, {"--config", "f", "--control-fd", "-1"}, "not '-1'");
  check_refused(kKeeper, {"--config", "f", "--control-fd", "5x"}, "not '5x'");
  check_refused(kKeeper, {"--config", "f", "--passphrase-fd"}, "--passphrase-fd wants a value");
  check_refused(kPlain, {"export", "--config", "f"}, "unknown argument export");
  check_refused(kPlain, {"--config", "f", "--passphrase-fd", "6"}, "--passphrase-fd");
  CHECK(usage_of(kPlain).find("export") == std::string::npos);
  CHECK(usage_of(kKeeper).find("--passphrase-fd") != std::string::npos);
}

TEST_CASE("before anything serves, all but usage and our own errors is a missing thing",
          "[runtime]") {
  CHECK(startup_failure(kPlain, Error{ErrorKind::Usage, "x"}) == 64);
  CHECK(startup_failure(kPlain, Error{ErrorKind::Io, "x"}) == 2);
  CHECK(startup_failure(kPlain, Error{ErrorKind::Corrupt, "x"}) == 2);
  CHECK(startup_failure(kPlain, Error{ErrorKind::Internal, "x"}) == 70);
}
