// Writing and refusing archives: see ustar.h.
#include "chaos/evidence/ustar.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "common/base/assert.h"

namespace roulette::evidence {
namespace {

constexpr std::uint64_t kMaxContent = (std::uint64_t{1} << 33) - 1;  // eleven octal digits
using Header = std::array<char, kUstarBlock>;

// Fields of the header that are not zero: offset, length.
struct Field {
  std::size_t at, length;
  const char* what;
};
constexpr Field kName{0, 100, "name"}, kMode{100, 8, "mode"}, kUid{108, 8, "owner"},
    kGid{116, 8, "group"}, kSize{124, 12, "size"}, kTime{136, 12, "time"},
    kChecksum{148, 8, "checksum"}, kType{156, 1, "type"}, kMagic{257, 8, "magic and version"};
constexpr std::array<Field, 9> kFields{kName, kMode, kUid, kGid, kSize,
                                       kTime, kChecksum, kType, kMagic};

void put(Header& header, const Field& field, std::string_view text) {
  ROULETTE_ASSERT(text.size() <= field.length);
  std::memcpy(header.data() + field.at, text.data(), text.size());
}

std::string octal(std::uint64_t value, int digits) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%0*llo", digits,
                static_cast<unsigned long long>(value));
  return text.data();
}

Header header_of(std::string_view name, std::uint64_t size) {
  Header header{};
  put(header, kName, name);
  put(header, kMode, "0000644");
  put(header, kUid, "0000000");
  put(header, kGid, "0000000");
  put(header, kSize, octal(size, 11));
  put(header, kTime, "00000000000");
  put(header, kType, "0");
  put(header, kMagic, std::string_view("ustar\0" "00", 8));
  put(header, kChecksum, "        ");
  std::uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(header, kChecksum, octal(sum, 6) + std::string("\0 ", 2));
  return header;
}

std::size_t padded(std::size_t size) {
  return (size + kUstarBlock - 1) / kUstarBlock * kUstarBlock;
}

Error not_canonical(std::size_t offset, const std::string& what) {
  return Error{ErrorKind::Corrupt,
               "byte " + std::to_string(offset) + ": " + what + ": not a canonical archive"};
}

bool all_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

// What stands in the header's size field; nothing unless it is eleven octal digits and a NUL.
std::optional<std::uint64_t> size_in(std::string_view header) {
  std::uint64_t size = 0;
  for (std::size_t i = 0; i + 1 < kSize.length; ++i) {
    const char c = header[kSize.at + i];
    if (c < '0' || c > '7') return std::nullopt;
    size = size * 8 + static_cast<std::uint64_t>(c - '0');
  }
  if (header[kSize.at + kSize.length - 1] != '\0') return std::nullopt;
  return size;
}

// Where the first byte that differs stands, for people.
std::string difference(const Header& wanted, std::string_view found) {
  std::size_t at = 0;
  while (at < kUstarBlock && wanted[at] == found[at]) ++at;
  for (const Field& field : kFields) {
    if (at >= field.at && at < field.at + field.length)
      return std::string("the header's ") + field.what;
  }
  return "a header's field that is zero in every archive";
}

struct Cursor {
  std::string_view archive;
  std::size_t at = 0;
  std::string last;  // name before

  [[nodiscard]] std::size_t left() const { return archive.size() - at; }

  Result<ArchivedFile> next() {
    const std::string_view block = archive.substr(at, kUstarBlock);
    const std::string_view named = block.substr(kName.at, kName.length);
    const std::string name(named.substr(0, named.find('\0')));
    if (!is_archive_name(name)) return not_canonical(at, "a name that may not stand here");
    if (!last.empty() && !(last < name))
      return not_canonical(at, name + " does not come after " + last);
    const std::optional<std::uint64_t> size = size_in(block);
    if (!size) return not_canonical(at, name + ": the header's size");
    const Header wanted = header_of(name, *size);
    if (std::string_view(wanted.data(), wanted.size()) != block)
      return not_canonical(at, name + ": " + difference(wanted, block));
    at += kUstarBlock;
    if (*size > left() || padded(*size) > left())
      return not_canonical(at, name + ": the archive ends within it");
    const ArchivedFile file{name, archive.substr(at, *size)};
    if (!all_zero(archive.substr(at + *size, padded(*size) - *size)))
      return not_canonical(at + *size, name + ": what follows its last byte");
    at += padded(*size);
    last = name;
    return file;
  }
};

}  // namespace

bool is_archive_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxUstarName) return false;
  std::size_t from = 0;
  while (from <= name.size()) {
    const std::size_t to = std::min(name.find('/', from), name.size());
    const std::string_view part = name.substr(from, to - from);
    if (part.empty() || part == "." || part == "..") return false;
    from = to + 1;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-' || c == '/';
  });
}

Result<std::string> write_ustar(std::vector<ArchivedFile> files) {
  std::sort(files.begin(), files.end(),
            [](const ArchivedFile& a, const ArchivedFile& b) { return a.name < b.name; });
  std::size_t total = 2 * kUstarBlock;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const ArchivedFile& file = files[i];
    if (!is_archive_name(file.name))
      return Error{ErrorKind::Usage, "'" + file.name + "' is no name for a file of an archive"};
    if (i > 0 && files[i - 1].name == file.name)
      return Error{ErrorKind::Usage, file.name + " stands twice"};
    if (file.content.size() > kMaxContent)
      return Error{ErrorKind::Usage, file.name + " is larger than an archive's file may be"};
    total += kUstarBlock + padded(file.content.size());
  }
  std::string out;
  out.reserve(total);
  for (const ArchivedFile& file : files) {
    const Header header = header_of(file.name, file.content.size());
    out.append(header.data(), header.size());
    out.append(file.content);
    out.append(padded(file.content.size()) - file.content.size(), '\0');
  }
  out.append(2 * kUstarBlock, '\0');
  return out;
}

Result<std::vector<ArchivedFile>> read_ustar(std::string_view archive) {
  std::vector<ArchivedFile> files;
  Cursor cursor{archive, 0, {}};
  while (cursor.left() >= kUstarBlock &&
         !all_zero(archive.substr(cursor.at, kUstarBlock))) {
    Result<ArchivedFile> file = cursor.next();
    if (!file) return file.error();
    files.push_back(std::move(file).value());
  }
  if (cursor.left() != 2 * kUstarBlock || !all_zero(archive.substr(cursor.at)))
    return not_canonical(cursor.at, "the end is not two blocks of zeros");
  return files;
}

}  // namespace roulette::evidence
