// Tests of common/base: hex, the canonical encoding, secrets, results.
#include <catch2/catch.hpp>

#include "common/base/bytes.h"
#include "common/base/canonical.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/secret.h"

using namespace roulette;

TEST_CASE("hex of either case decodes and anything else is refused", "[base]") {
  CHECK(to_hex(Bytes{0x00, 0xab, 0xff}) == "00abff");
  CHECK(from_hex("00ABff") == Bytes{0x00, 0xab, 0xff});
  CHECK_FALSE(from_hex("abc"));
  CHECK_FALSE(from_hex("zz"));
  CHECK_FALSE(array_from_hex<2>("00abff"));
}

TEST_CASE("what the canonical writer wrote the reader gives back", "[base]") {
  CanonicalWriter w;
  w.u8(7);
  w.u16(0x0102);
  w.u32(0x01020304);
  w.u64(0x0102030405060708);
  w.i64(-5);
  w.boolean(true);
  w.text("share");
  w.count(2);
  w.raw(Bytes{1, 2});
  CanonicalReader r(w.view());
  CHECK(r.u8() == 7);
  CHECK(r.u16() == 0x0102);
  CHECK(r.u32() == 0x01020304);
  CHECK(r.u64() == 0x0102030405060708);
  CHECK(r.i64() == -5);
  CHECK(r.boolean());
  CHECK(r.text() == "share");
  CHECK(r.count(1) == 2);
  CHECK(r.array<2>() == ByteArray<2>{1, 2});
  CHECK(r.finished());
}

TEST_CASE("a truncated or hostile canonical input fails and stays failed", "[base]") {
  const Bytes huge_list{0xff, 0xff, 0xff, 0xff, 0x00};
  CanonicalReader list(huge_list);
  CHECK(list.count(8) == 0);
  CHECK_FALSE(list.ok());

  const Bytes short_text{0, 0, 0, 9, 'a'};
  CanonicalReader text(short_text);
  CHECK(text.text().empty());
  CHECK(text.u8() == 0);
  CHECK_FALSE(text.finished());

  const Bytes two{2};
  CanonicalReader boolean(two);
  CHECK_FALSE(boolean.boolean());
  CHECK_FALSE(boolean.ok());
}

TEST_CASE("a moved secret leaves zeros behind", "[base]") {
  const ByteArray<4> raw{1, 2, 3, 4};
  Secret<4> a(std::span<const std::uint8_t, 4>{raw});
  const Secret<4> b = std::move(a);
  CHECK(Bytes(a.span().begin(), a.span().end()) == Bytes{0, 0, 0, 0});
  CHECK(Bytes(b.span().begin(), b.span().end()) == Bytes{1, 2, 3, 4});
}

TEST_CASE("errors map to the exit codes of the contract", "[base]") {
  CHECK(exit_code(ErrorKind::Usage) == 64);
  CHECK(exit_code(ErrorKind::Preflight) == 2);
  CHECK(exit_code(ErrorKind::Internal) == 70);
  const Error error = Error{ErrorKind::Io, "disk full"}.with_context("journal");
  CHECK(error.message == "journal: disk full");
}

TEST_CASE("process names read as in certificates and records", "[base]") {
  CHECK(ProcessName{Role::Signer, 3}.text() == "signer-3");
}
