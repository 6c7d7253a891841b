// In a file of its own, so that it is not inlined and the constant-time check can name it.
//
// The branch is real on purpose (the two empty asm statements keep it so): valgrind's memcheck then
// reports it here, where it is excused, and the returned constant counts as public in the caller.
#include "common/crypto/declassify.h"

namespace roulette::crypto {

bool declassify(int flag) noexcept {
  if (flag != 0) {
    asm volatile("# accepted");
    return true;
  }
  asm volatile("# refused");
  return false;
}

}  // namespace roulette::crypto
