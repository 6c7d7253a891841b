// Counts of frames outlive the process that counted, by whatever signal it ended.
#include <catch2/catch.hpp>

#include <fstream>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/runtime/traffic.h"
#include "runtime_fixture.h"

namespace roulette::runtime::test {

TEST_CASE("what was counted before a SIGKILL stands in the file, and the next life goes on there") {
  const TemporaryFolder folder;
  const auto file = folder / "traffic";
  const pid_t child = fork();
  if (child == 0) {
    auto traffic = Traffic::open(file);
    if (!traffic.ok()) _exit(1);
    (*traffic)->count(Role::Coordinator, 100);
    (*traffic)->count(Role::Coordinator, 20);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  {
    const auto next = Traffic::open(file);
    REQUIRE(next.ok());
    (*next)->count(Role::Coordinator, 3);
    (*next)->count(Role::Signer, 7);
  }
  const auto counts = read_traffic(file);
  REQUIRE(counts.ok());
  CHECK(counts->at(Role::Coordinator).messages == 3);
  CHECK(counts->at(Role::Coordinator).bytes == 123);
  CHECK(counts->at(Role::Signer).messages == 1);
  CHECK_FALSE(counts->contains(Role::Ledger));
}

TEST_CASE("a file that holds no counts is refused, by writer and reader") {
  const TemporaryFolder folder;
  const auto file = folder / "traffic";
  CHECK_FALSE(read_traffic(file).ok());
  std::ofstream(file) << "something else";
  CHECK_FALSE(Traffic::open(file).ok());
  CHECK_FALSE(read_traffic(file).ok());
}

}  // namespace roulette::runtime::test
