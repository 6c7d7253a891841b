// Internal to signer/token: a Token's module and the thread that alone talks to it.
//
// Invariant: ask() hands the module to a function that owns all it touches, and gives its answer or
// an Error; whatever goes wrong with the thread, no answer is made up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/mutants.h"
#include "signer/token/bounded_calls.h"
#include "signer/token/module.h"

namespace roulette::signer {

struct Token::Worker {
  explicit Worker(const TokenPlace& at)
      : place(at), calls(at.patience), module(std::make_shared<Module>(at)) {}
  // The module goes where it was used.
  ~Worker() {
    if (!calls.own_process()) return;
    auto last = std::make_shared<std::shared_ptr<Module>>(std::move(module));
    (void)calls.run([last] { last->reset(); });
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  template <class T>
  Result<T> ask(std::function<Result<T>(Module&)> question) {
#ifdef ROULETTE_MUTANTS
    if (!calls.own_process() && ROULETTE_MUTANT("hsm-session-after-fork"))
      return question(*module);
#endif
    if (!calls.own_process())
      return Error{ErrorKind::Refused, "token '" + place.label + "': opened before a fork"};
    auto answer = std::make_shared<std::optional<Result<T>>>();
    const bool back = calls.run([question = std::move(question), answer, to = module] {
      *answer = question(*to);
    });
    if (back) return std::move(**answer);
    return Error{ErrorKind::Preflight,
                 "token '" + place.label + "': the module has not answered for " +
                     std::to_string(place.patience.us / 1000) + " ms and is given up"};
  }
  Status tell(std::function<Status(Module&)> order) {
    auto done = ask<bool>([order = std::move(order)](Module& at) -> Result<bool> {
      if (const Status carried = order(at); !carried) return carried.error();
      return true;
    });
    return done ? Status() : Status(done.error());
  }

  const TokenPlace place;
  BoundedCalls calls;
  std::shared_ptr<Module> module;
};

}  // namespace roulette::signer
