// libsecp256k1 called directly: its MuSig2 module as the peer that threshold signing is compared
// with, and the single operations that floors are counted in.
//
// Invariant: each function is one step on fixed inputs and asserts that the library said yes, so
// that nothing is timed that failed. Keys are throw-away; nothing here signs for a wallet.
#pragma once

#include <cstdint>
#include <memory>

namespace roulette::chaos::bench {

// n = t keys; what t signers of a 3-of-5 do is beside what three MuSig2 signers do.
class ModulePeer {
 public:
  explicit ModulePeer(std::uint16_t t);
  ~ModulePeer();

  void nonce();
  void session();        // from the public nonces' bytes: parse, add, process
  void prepare(int n);   // n secret nonces for share()
  void share(int i);     // uses up the i-th
  void share_check();    // from the share's bytes
  void aggregate();      // from the shares' bytes; verifies the signature

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class CurveOperations {
 public:
  CurveOperations();
  ~CurveOperations();

  void sign();
  void verify();
  void parse();               // 33 bytes to a point: a square root
  void multiply_generator();  // constant time, as for a secret
  void multiply();            // variable time, of a public point
  void add();                 // two points
  void add_many();            // sixteen

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos::bench
