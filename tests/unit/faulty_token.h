// A SoftHSM token behind the module that fails as it is told (chaos/token/faulty_token.cpp).
#pragma once

#include "tests/unit/soft_token.h"

namespace roulette::signer::test {

class FaultyTokens {
 public:
  FaultyTokens() {
    REQUIRE(::setenv("FAULTY_TOKEN_CONTROL", control().c_str(), 1) == 0);
    REQUIRE(::setenv("FAULTY_TOKEN_MODULE", kSoftHsm, 1) == 0);
  }
  TokenPlace make(const std::string& label) {
    TokenPlace place = tokens.make(label);
    place.module = FAULTY_TOKEN;
    return place;
  }
  // Nothing: the token is as it should be.
  void tell(const std::string& how) { std::ofstream(control()) << how << "\n"; }
  [[nodiscard]] int noted(const std::string& word) const {
    std::ifstream in(control() + ".log");
    int times = 0;
    for (std::string line; std::getline(in, line);) times += line == word ? 1 : 0;
    return times;
  }

  SoftTokens tokens;

 private:
  [[nodiscard]] std::string control() const { return (tokens.folder() / "control").string(); }
};

}  // namespace roulette::signer::test
