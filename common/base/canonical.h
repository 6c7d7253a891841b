// The canonical encoding: what journals, the ordered log, digests and hash chains cover.
//
// Invariant: one value has exactly one encoding, and decode(encode(x)) == x. Integers are
// fixed-width big-endian; byte strings and lists carry a u32 length. Protobuf is for the wire only:
// its bytes are not canonical (DESIGN 10).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace roulette {

class CanonicalWriter {
 public:
  void u8(std::uint8_t v) { out_.push_back(v); }
  void u16(std::uint16_t v) { big_endian(v, 2); }
  void u32(std::uint32_t v) { big_endian(v, 4); }
  void u64(std::uint64_t v) { big_endian(v, 8); }
  void i64(std::int64_t v) { u64(static_cast<std::uint64_t>(v)); }
  void boolean(bool v) { u8(v ? 1 : 0); }
  void raw(ByteSpan bytes) { append(out_, bytes); }  // fixed size, no length
  void bytes(ByteSpan v) {
    u32(static_cast<std::uint32_t>(v.size()));
    raw(v);
  }
  void text(std::string_view v) { bytes(as_bytes(v)); }
  void count(std::size_t n) {
    u32(static_cast<std::uint32_t>(n));
  }  // before the elements of a list

  [[nodiscard]] const Bytes& view() const { return out_; }
  [[nodiscard]] Bytes take() { return std::move(out_); }

 private:
  void big_endian(std::uint64_t v, int width) {
    for (int i = width - 1; i >= 0; --i) out_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  Bytes out_;
};

// Reads what CanonicalWriter wrote. After the first violation every read returns zero and ok()
// stays false.
class CanonicalReader {
 public:
  explicit CanonicalReader(ByteSpan input) : input_(input) {}

  [[nodiscard]] std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }
  [[nodiscard]] std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian(2)); }
  [[nodiscard]] std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian(4)); }
  [[nodiscard]] std::uint64_t u64() { return big_endian(8); }
  [[nodiscard]] std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  [[nodiscard]] bool boolean() {
    const std::uint8_t v = u8();
    if (v > 1) fail();
    return v == 1;
  }
  template <std::size_t N>
  [[nodiscard]] ByteArray<N> array() {
    ByteArray<N> out{};
    const ByteSpan from = take(N);
    for (std::size_t i = 0; i < from.size(); ++i) out[i] = from[i];
    return out;
  }
  [[nodiscard]] Bytes bytes() {
    const ByteSpan from = take(u32());
    return Bytes(from.begin(), from.end());
  }
  [[nodiscard]] std::string text() {
    const ByteSpan from = take(u32());
    return std::string(from.begin(), from.end());
  }
  // The length of a list whose elements take at least `element_size` bytes each: a hostile length
  // fails at once instead of making the caller reserve memory.
  [[nodiscard]] std::size_t count(std::size_t element_size) {
    const std::uint32_t n = u32();
    if (element_size == 0 || n > (input_.size() - position_) / element_size) {
      fail();
      return 0;
    }
    return n;
  }

  void fail() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return position_ == input_.size(); }
  // True when every byte was used and none was wrong: what a decoder returns.
  [[nodiscard]] bool finished() const { return ok_ && at_end(); }

 private:
  ByteSpan take(std::size_t n) {
    if (!ok_ || n > input_.size() - position_) {
      fail();
      return {};
    }
    const ByteSpan out = input_.subspan(position_, n);
    position_ += n;
    return out;
  }
  std::uint64_t big_endian(std::size_t width) {
    std::uint64_t v = 0;
    for (const std::uint8_t byte : take(width)) v = v << 8 | byte;
    return v;
  }
  ByteSpan input_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace roulette
