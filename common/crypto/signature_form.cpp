// See signature_form.h.
#include "common/crypto/signature_form.h"

#include "common/crypto/hsm_scheme.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

const char* form_name(SignatureForm form) {
  switch (form) {
    case SignatureForm::Bip340: return "bip340";
    case SignatureForm::Ecdsa: return "ecdsa";
  }
  return "unknown";
}

std::optional<SignatureForm> form_named(std::string_view name) {
  for (const SignatureForm form : {SignatureForm::Bip340, SignatureForm::Ecdsa})
    if (name == form_name(form)) return form;
  return std::nullopt;
}

std::optional<SignatureForm> form_numbered(std::uint8_t number) {
  for (const SignatureForm form : {SignatureForm::Bip340, SignatureForm::Ecdsa})
    if (number == static_cast<std::uint8_t>(form)) return form;
  return std::nullopt;
}

const Scheme& scheme_of(SignatureForm form) {
  return form == SignatureForm::Ecdsa ? hsm_scheme() : frost_scheme();
}

}  // namespace roulette::crypto
