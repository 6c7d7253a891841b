// A SoftHSM token of a test: its own folder and configuration, made by softhsm2-util.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "signer/token/token.h"
#include "tests/unit/runtime_fixture.h"

namespace roulette::signer::test {

inline constexpr char kSoftHsm[] = "/usr/lib/softhsm/libsofthsm2.so";

class SoftTokens {
 public:
  SoftTokens() {
    std::filesystem::create_directory(folder_ / "tokens");
    std::ofstream(folder_ / "softhsm2.conf")
        << "directories.tokendir = " << (folder_ / "tokens").string()
        << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    REQUIRE(::setenv("SOFTHSM2_CONF", (folder_ / "softhsm2.conf").c_str(), 1) == 0);
  }
  // The PIN is the label backwards, in a file of its own.
  TokenPlace make(const std::string& label) {
    const std::string pin(label.rbegin(), label.rend());
    const std::string command = "softhsm2-util --init-token --free --label " + label + " --pin " +
                                pin + " --so-pin 12345678 > /dev/null 2>&1";
    REQUIRE(std::system(command.c_str()) == 0);
    return {kSoftHsm, label, write_pin(label, pin), folder_ / (label + ".refused"), seconds(5)};
  }
  std::filesystem::path write_pin(const std::string& name, const std::string& pin) {
    const auto file = folder_ / (name + ".pin");
    std::ofstream(file) << pin << "\n";
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    return file;
  }
  // SoftHSM writes a token's own file in place at every login: ftruncate, then write. A kill
  // between the two is the end of that token, whoever uses it.
  [[nodiscard]] bool torn() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "tokens"))
      if (entry.path().filename() == "token.object" && entry.file_size() == 0) return true;
    return false;
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  void forget_all() {  // the tokens are taken away
    std::filesystem::remove_all(folder_ / "tokens");
    std::filesystem::create_directory(folder_ / "tokens");
  }

 private:
  runtime::test::TemporaryFolder folder_;
};

}  // namespace roulette::signer::test
