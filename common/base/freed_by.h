// A deleter for std::unique_ptr of a C library's object: FreedBy<EVP_PKEY_free>.
//
// Invariant: stateless, so the pointer is as large as a bare one.
#pragma once

namespace roulette {

template <auto Free>
struct FreedBy {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

}  // namespace roulette
