// Result and its exit codes: see result.h.
#include "common/base/result.h"

namespace roulette {

int exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::Usage:
      return 64;
    case ErrorKind::Preflight:
      return 2;
    case ErrorKind::Io:
    case ErrorKind::Network:
    case ErrorKind::Corrupt:
    case ErrorKind::Refused:
    case ErrorKind::Internal:
      return 70;
  }
  return 70;
}

}  // namespace roulette
