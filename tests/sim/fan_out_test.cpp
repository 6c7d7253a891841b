// Work in child processes: nothing is lost, doubled or hidden when one of them dies.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "chaos/app/fan_out.h"

namespace roulette::chaos {
namespace {

struct Seen {
  std::map<std::uint64_t, std::string> results;
  std::map<std::uint64_t, std::string> broken;
};

FanOutHooks hooks_into(Seen& seen, std::function<std::string(std::uint64_t)> work) {
  FanOutHooks hooks;
  hooks.work = std::move(work);
  hooks.done = [&seen](std::uint64_t piece, std::string result) {
    CHECK(seen.results.emplace(piece, std::move(result)).second);
  };
  hooks.broke = [&seen](std::uint64_t piece, const std::string& why) {
    CHECK(seen.broken.emplace(piece, why).second);
  };
  return hooks;
}

}  // namespace

TEST_CASE("every piece is done once, whatever the number of children") {
  for (const unsigned jobs : {1U, 2U, 5U}) {
    Seen seen;
    const auto ran = fan_out({40, jobs, 60}, hooks_into(seen, [](std::uint64_t piece) {
                               return std::string(piece * 5000, 'x');
                             }));
    REQUIRE(ran.ok());
    CHECK(*ran == 40);
    REQUIRE(seen.results.size() == 40);
    for (const auto& [piece, result] : seen.results) CHECK(result.size() == piece * 5000);
    CHECK(seen.broken.empty());
  }
}

TEST_CASE("a piece that ends its process is reported, and the rest is done") {
  Seen seen;
  const auto ran = fan_out({20, 2, 60}, hooks_into(seen, [](std::uint64_t piece) {
                             if (piece == 7) std::abort();
                             if (piece == 11) std::_Exit(3);
                             return std::to_string(piece);
                           }));
  REQUIRE(ran.ok());
  CHECK(*ran == 20);
  CHECK(seen.results.size() == 18);
  REQUIRE(seen.broken.size() == 2);
  CHECK_THAT(seen.broken.at(7), Catch::Matchers::Contains("signal 6"));
  CHECK_THAT(seen.broken.at(11), Catch::Matchers::Contains("status 3"));
}

TEST_CASE("a piece that never answers is killed and reported") {
  Seen seen;
  const auto ran = fan_out({3, 1, 0.3}, hooks_into(seen, [](std::uint64_t piece) {
                             for (volatile bool spin = piece == 1; spin;) {
                             }
                             return std::string("ok");
                           }));
  REQUIRE(ran.ok());
  CHECK(seen.results.size() == 2);
  CHECK_THAT(seen.broken.at(1), Catch::Matchers::Contains("no answer"));
}

TEST_CASE("work that is ended early has no gap") {
  Seen seen;
  FanOutHooks hooks = hooks_into(seen, [](std::uint64_t piece) { return std::to_string(piece); });
  hooks.go_on = [&seen] { return seen.results.size() < 10; };
  const auto ran = fan_out({UINT64_MAX / 2, 2, 60}, hooks);
  REQUIRE(ran.ok());
  CHECK(*ran >= 10);
  REQUIRE(seen.results.size() == *ran);
  CHECK(seen.results.rbegin()->first == *ran - 1);
}

TEST_CASE("a single run apart says how it broke") {
  const auto good = isolated([] { return std::string("fine"); });
  REQUIRE(good.ok());
  CHECK(good->result == "fine");
  CHECK(good->broke.empty());
  const auto bad = isolated([]() -> std::string { std::abort(); });
  REQUIRE(bad.ok());
  CHECK_THAT(bad->broke, Catch::Matchers::Contains("signal 6"));
}

}  // namespace roulette::chaos
